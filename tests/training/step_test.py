"""The step: sums before means, keys by place, non-finite steps skipped."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.evaluation.metrics import Mean
from maskjax.training import run, step


def _numpy_sums(toy, params, batch, is_masked):
    """Loss sum, weight sum and gradients of the toy task, row by row from its definition."""
    x = np.asarray(batch["inputs"], np.float64)
    kernel, bias = np.asarray(params["kernel"], np.float64), np.asarray(params["bias"], np.float64)
    loss, weight = 0.0, 0
    d_kernel, d_bias = np.zeros_like(kernel), np.zeros_like(bias)
    for row, hidden in zip(x, is_masked, strict=True):
        visible = np.where(hidden, 0.0, row)
        for j in range(toy.WIDTH):
            if hidden[j]:
                error = visible @ kernel[:, j] + bias[j] - row[j]
                loss += error**2
                weight += 1
                d_kernel[:, j] += 2 * error * visible
                d_bias[j] += 2 * error
    return loss, weight, d_kernel, d_bias


@pytest.mark.parametrize("num_devices", [1, 4])
def test_loss_and_gradient_are_sums_over_all_devices_divided_once(toy, num_devices):
    config = toy.config(total_steps=1, num_devices=num_devices)
    task = toy.Task()
    params = run.initial_state(task, config).params
    batch = next(toy.Data(config.batch_size).train_batches(0))
    keys = masking.example_keys(jax.random.key(config.seed), 0, jnp.arange(config.batch_size))
    is_masked = np.asarray(task.is_masked(keys))
    counts = is_masked.reshape(4, -1).sum(1)
    assert len(set(counts.tolist())) > 1, "the devices must hide different counts"
    loss, weight, d_kernel, d_bias = _numpy_sums(toy, params, batch, is_masked)

    metrics, _ = toy.trajectory(config)
    assert metrics[0]["loss"] == pytest.approx(loss / weight, rel=1e-5)
    norm = np.sqrt((d_kernel**2).sum() + (d_bias**2).sum()) / weight
    assert metrics[0]["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert metrics[0]["hidden_share"] == pytest.approx(weight / is_masked.size, rel=1e-6)


@pytest.mark.parametrize("num_devices", [1, 2])
@pytest.mark.parametrize("accumulate_steps", [2, 4])
def test_accumulation_equals_the_whole_batch(toy, num_devices, accumulate_steps):
    options = {"total_steps": 4, "num_devices": num_devices}
    whole, state = toy.trajectory(toy.config(**options))
    parts, other = toy.trajectory(
        toy.config(**options, optimizer__accumulate_steps=accumulate_steps)
    )
    for a, b in zip(whole, parts, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-5)
    np.testing.assert_allclose(state.params["kernel"], other.params["kernel"], rtol=1e-4, atol=1e-6)


def test_moving_average_follows_its_recurrence(toy):
    config = toy.config(total_steps=5, optimizer__ema_decay=0.8)
    seen = [np.asarray(run.initial_state(toy.Task(), config).params["kernel"])]
    _, state = toy.trajectory(config, on_step=lambda s: seen.append(np.array(s.params["kernel"])))
    average = seen[0]
    for kernel in seen[1:]:
        average = 0.8 * average + 0.2 * kernel
    np.testing.assert_allclose(state.ema_params["kernel"], average, rtol=1e-5)


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(toy):
    task = toy.Task(poison=lambda step: jnp.where((step == 2) | (step == 3), jnp.nan, 1.0))
    states = []
    metrics, _ = toy.trajectory(
        toy.config(total_steps=6, optimizer__ema_decay=0.9),
        task,
        on_step=lambda s: states.append(jax.tree.map(np.array, s)),
    )
    assert [int(m["nonfinite_run"]) for m in metrics] == [0, 0, 1, 2, 0, 0]
    assert int(metrics[-1]["nonfinite_total"]) == 2
    assert [int(s.step) for s in states] == [1, 2, 3, 4, 5, 6]
    for name in ("params", "opt_state", "ema_params"):
        before, skipped, after = (getattr(states[i], name) for i in (1, 3, 4))
        chex.assert_trees_all_equal(before, skipped)
        kernel = lambda tree: jax.tree.leaves(tree)[-1]  # noqa: E731
        assert not np.array_equal(kernel(before), kernel(after))
    # The rate of step 4 is that of the schedule, as if nothing had been skipped.
    straight, _ = toy.trajectory(toy.config(total_steps=6))
    assert metrics[4]["learning_rate"] == straight[4]["learning_rate"]


def test_an_infinite_gradient_alone_is_caught(toy):
    # The loss stays finite: the root of a sum that is zero has an infinite slope.
    class Steep(toy.Task):
        def loss(self, params, batch, context):
            sums = super().loss(params, batch, context)
            return sums._replace(loss=sums.loss + jnp.sqrt(jnp.sum(params["bias"] ** 2) * 0.0))

    metrics, _ = toy.trajectory(toy.config(total_steps=1), Steep())
    assert np.isfinite(metrics[0]["loss"])
    assert int(metrics[0]["nonfinite_run"]) == 1


def test_keys_of_training_evaluation_and_initialisation_are_all_different():
    index = jnp.arange(6)
    data = [
        jax.random.key_data(step.train_keys(0, jnp.int32(0), index)),
        jax.random.key_data(step.train_keys(0, jnp.int32(1), index)),
        jax.random.key_data(step.train_keys(1, jnp.int32(0), index)),
        jax.random.key_data(step.eval_keys(0, index)),
        jax.random.key_data(step.document_keys(0, index)),
        jax.random.key_data(step.init_key(0))[None],
    ]
    rows = {tuple(row) for block in data for row in np.asarray(block).tolist()}
    assert len(rows) == 5 * 6 + 1


def _counting(toy):
    """A task that remembers how many rows it has seen, and the sum of their first entries."""

    class Counting(toy.Task):
        def start(self):
            return {"rows": jnp.float32(0), "steps": jnp.int32(0)}

        def loss(self, params, batch, context):
            sums = super().loss(params, batch, context)
            seen = jnp.float32(len(batch["inputs"]))
            metrics = {"rows_before": Mean(context.memory["rows"] * seen, seen)}
            return sums._replace(statistics=seen * self.poison(context.step), metrics=metrics)

        def remember(self, memory, statistics, step):
            return {"rows": memory["rows"] + statistics, "steps": step + 1}

    return Counting


@pytest.mark.parametrize(
    "options", [{}, {"num_devices": 4}, {"optimizer__accumulate_steps": 2}], ids=str
)
def test_memory_advances_once_a_step_by_what_all_rows_add_up_to(toy, options):
    task = _counting(toy)(poison=lambda step: jnp.float32(1))
    metrics, state = toy.trajectory(toy.config(total_steps=3, **options), task)
    assert [m["rows_before"] for m in metrics] == [0, 8, 16]
    assert jax.device_get(state.memory) == {"rows": 24, "steps": 3}


def test_memory_is_left_as_it_was_by_statistics_that_are_not_finite(toy):
    class Task(_counting(toy)):
        def loss(self, params, batch, context):
            sums = super().loss(params, batch, context)
            return sums._replace(loss=sums.loss / self.poison(context.step))

    task = Task(poison=lambda step: jnp.where(step == 1, jnp.inf, 1.0))
    metrics, state = toy.trajectory(toy.config(total_steps=3), task)
    assert [int(m["nonfinite_run"]) for m in metrics] == [0, 1, 0]
    assert jax.device_get(state.memory) == {"rows": 16, "steps": 3}


@pytest.mark.parametrize(
    ("group", "parts"),
    [(1, [[0, 2, 4, 6], [1, 3, 5, 7]]), (2, [[0, 1, 4, 5], [2, 3, 6, 7]])],
)
def test_micro_batches_take_every_so_manyth_group_of_rows(group, parts):
    rows = {"x": jnp.arange(8), "y": jnp.arange(16).reshape(8, 2)}
    split = step._micro_batches(rows, 2, group)
    assert split["x"].tolist() == parts
    assert (split["y"][..., 0] // 2).tolist() == parts
