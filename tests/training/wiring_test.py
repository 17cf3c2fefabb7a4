"""Numbers of a config reach the step and the loop: each is set to a value that no default has."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking, workdir
from maskjax.tasks.task import Context
from maskjax.training import loop, run
from maskjax.workdir import loggers

OPTIMIZER = {
    "optimizer__base_lr": 3.2,
    "optimizer__warmup_steps": 3,
    "optimizer__min_lr": 0.004,
    "optimizer__b1": 0.7,
    "optimizer__b2": 0.8,
    "optimizer__eps": 0.3,
    "optimizer__weight_decay": 0.6,
}


def _rate(config, step):
    """He et al. 2022, appendix A.1: base_lr * batch / 256, linear warm-up, half a cosine."""
    chosen = config.optimizer
    peak = chosen.base_lr * config.batch_size / 256
    if step < chosen.warmup_steps:
        return peak * step / chosen.warmup_steps
    share = (step - chosen.warmup_steps) / (config.total_steps - chosen.warmup_steps)
    return chosen.min_lr + (peak - chosen.min_lr) * (1 + np.cos(np.pi * share)) / 2


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 16}, {"optimizer__accumulate_steps": 2}, {"num_devices": 4}],
    ids=["batch", "accumulated", "devices"],
)
def test_the_rate_is_that_of_the_whole_batch_warmed_up_and_cosine(toy, options):
    config = toy.config(**OPTIMIZER, **options)
    metrics, _ = toy.trajectory(config)
    expected = [_rate(config, step) for step in range(config.total_steps)]
    np.testing.assert_allclose([m["learning_rate"] for m in metrics], expected, rtol=1e-5)


@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
def test_parameters_move_as_the_config_s_adamw_says(toy, clip_norm):
    config = toy.config(**OPTIMIZER, total_steps=5, optimizer__clip_norm=clip_norm)
    task, chosen = toy.Task(), config.optimizer
    batches = toy.Data(config.batch_size).train_batches(0)
    params = jax.tree.map(np.float64, run.initial_state(task, config).params)
    m, v = (jax.tree.map(np.zeros_like, params) for _ in range(2))
    sums = lambda *args: (task.loss(*args).loss, task.loss(*args).weight)  # noqa: E731
    gradient_of_sum = jax.jit(jax.grad(sums, has_aux=True))
    for step in range(config.total_steps):
        keys = masking.example_keys(jax.random.key(config.seed), step, jnp.arange(8))
        as_float32 = jax.tree.map(np.float32, params)
        context = Context(keys, step)
        total, weight = gradient_of_sum(as_float32, next(batches), context)
        gradient = {name: np.float64(g) / float(weight) for name, g in total.items()}
        norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
        assert norm > 0.1  # so that 0.05 does cut it
        for name, g in gradient.items():
            g = g * (clip_norm / norm if clip_norm else 1.0)
            m[name] = chosen.b1 * m[name] + (1 - chosen.b1) * g
            v[name] = chosen.b2 * v[name] + (1 - chosen.b2) * g**2
            first = m[name] / (1 - chosen.b1 ** (step + 1))
            second = v[name] / (1 - chosen.b2 ** (step + 1))
            decay = chosen.weight_decay * params[name] * (name == "kernel")
            direction = first / (np.sqrt(second) + chosen.eps) + decay
            params[name] = params[name] - _rate(config, step) * direction
    _, state = toy.trajectory(config)
    for name, expected in params.items():
        np.testing.assert_allclose(state.params[name], expected, rtol=1e-4, atol=1e-6)


def test_accumulation_sees_the_batch_in_parts(toy):
    class Recording(toy.Task):
        rows = ()

        def loss(self, params, batch, context):
            self.rows = {*self.rows, len(batch["inputs"])}
            return super().loss(params, batch, context)

    task = Recording()
    toy.trajectory(toy.config(total_steps=1, optimizer__accumulate_steps=4), task)
    assert task.rows == {2}  # of a batch of 8


@pytest.fixture(scope="module")
def evaluated(toy, tmp_path_factory):
    """A run with a moving average that is evaluated every 5 of its 12 steps: folder and tasks."""

    class Recording(toy.Task):
        modes = ()

        def loss(self, params, batch, context):
            self.modes = [*self.modes, ("is_valid" in batch, context.train)]
            return super().loss(params, batch, context)

    folder, task = tmp_path_factory.mktemp("evaluated"), Recording()
    config = toy.config(
        eval_every_steps=5, save_every_steps=0, keep_checkpoints=3, optimizer__ema_decay=0.9
    )
    loop.fit(task, toy.Data(config.batch_size), config, folder)
    return folder, task, config


def test_evaluations_come_at_their_interval_and_at_the_end(evaluated):
    folder, _, _ = evaluated
    lines = [line for line in loggers.read_metrics(folder) if line["split"] == "validation"]
    assert [line["step"] for line in lines] == [5, 10, 12]
    assert len({line["loss"] for line in lines}) == 3  # of the parameters of that step
    # What was evaluated is saved, so that the best can be kept.
    saved = {path.name for path in (folder / workdir.CHECKPOINTS).iterdir()}
    assert {"5", "10", "12"} == saved


def test_what_is_evaluated_is_not_in_training_mode(evaluated):
    _, task, _ = evaluated
    assert set(task.modes) == {(False, True), (True, False)}


def test_the_moving_average_is_resumed_bit_for_bit(toy, evaluated, tmp_path):
    folder, _, config = evaluated
    resumed = tmp_path / "resumed"
    shutil.copytree(folder, resumed)
    (resumed / workdir.SUMMARY).unlink()
    for step in ("10", "12"):
        shutil.rmtree(resumed / workdir.CHECKPOINTS / step)
    loop.fit(toy.Task(), toy.Data(config.batch_size), config, resumed)
    straight, again = (run.load_state(toy.Task(), config, path) for path in (folder, resumed))
    jax.tree.map(np.testing.assert_array_equal, straight, again)
    assert not np.array_equal(straight.ema_params["kernel"], straight.params["kernel"])
