"""Masks of parameters in training: what is hidden stays so, whatever moves beside it."""

import ast
import itertools
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from maskjax import masking
from maskjax.masking.parameters import options_of
from maskjax.param_mask_keys import PARAM_MASKS
from maskjax.tasks.task import Context
from maskjax.training import run
from maskjax.training.update import make_update
from maskjax.workdir.masks import write_masks

SIZE = 36  # of the toy's kernel, 6 x 6
# All that moves a weight which has no gradient.
PULLED = {
    "optimizer__weight_decay": 0.6,
    "optimizer__ema_decay": 0.9,
    "optimizer__accumulate_steps": 2,
    "optimizer__warmup_steps": 0,
}


def _states(toy, method, task=None, **options):
    """States after each step, the first of them before the first, and what steps reported."""
    named = {
        f"param_masks__{name}" if name in PARAM_MASKS else name: options[name] for name in options
    }
    config = toy.config(param_masks__method=method, **named)
    states = [jax.device_get(run.initial_state(toy.Task(), config))]
    keep = lambda state: states.append(jax.device_get(state))  # noqa: E731
    metrics, _ = toy.trajectory(config, task, on_step=keep)
    return states, metrics


def _kernel(state):
    return np.asarray(state.params["kernel"])


def _mask(state):
    return np.asarray(state.param_masks.masks["kernel"])


def _moments(state):
    return [np.asarray(optax.tree.get(state.opt_state, name)["kernel"]) for name in ("mu", "nu")]


def _rounded(share):
    return int(np.floor(SIZE * share + 0.5))


def test_what_is_hidden_is_exactly_zero_in_weights_moments_and_averages_as_the_schedule_says(toy):
    times = {"begin_step": 2, "end_step": 9, "every_steps": 3}
    states, _ = _states(toy, "gradual", **times, **PULLED)
    # Zhu & Gupta 2018, equation 1, at steps 2, 5, 8, and at the end, 9, that they do not hit.
    reached = {at: 0.5 * (1 - (1 - (at - 2) / 7) ** 3) for at in (2, 5, 8, 9)}
    for step, (before, after) in enumerate(itertools.pairwise(states), 1):
        hidden = ~_mask(after)
        latest = max((at for at in reached if at <= step), default=None)
        assert hidden.sum() == (0 if latest is None else _rounded(reached[latest]))
        assert (hidden >= ~_mask(before)).all()
        for array in (_kernel(after), np.asarray(after.ema_params["kernel"]), *_moments(after)):
            assert not array[hidden].any()
            assert array[~hidden].any()
        assert (_kernel(before) != _kernel(after))[~hidden].all()
    assert _mask(states[-1]).sum() == SIZE // 2


def test_masks_that_change_compile_nothing_and_do_not_depend_on_the_devices(toy):
    compiled, counts = [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    options = {"param_masks__method": "set", "param_masks__every_steps": 2, "total_steps": 7}
    ends = []
    for num_devices in (1, 4):
        on_step = lambda _: counts.append(len(compiled))  # noqa: E731
        config = toy.config(num_devices=num_devices, **options)
        ends.append(jax.device_get(toy.trajectory(config, on_step=on_step)[1]))
        assert len(set(counts[-7:])) == 1
    np.testing.assert_array_equal(_mask(ends[0]), _mask(ends[1]))
    assert ends[0].param_masks.changes == 3  # 0, 2 and 4: the end is .75 * 7 steps
    np.testing.assert_allclose(_kernel(ends[0]), _kernel(ends[1]), rtol=1e-4, atol=1e-6)


def test_what_is_frozen_stays_bit_for_bit_while_masks_move_on(toy):
    states, _ = _states(toy, "random", hides="updates", every_steps=4, **PULLED)
    masks = {_mask(state).tobytes() for state in states}
    assert len(masks) == 4  # of steps 0, 4, 8 and 12: momentum of before does not go on
    for before, after in itertools.pairwise(states):
        is_moved = _kernel(before) != _kernel(after)
        np.testing.assert_array_equal(is_moved, _mask(before))
        assert _mask(before).sum() == SIZE // 2


@pytest.mark.parametrize("method", ["relearn", "relearn_alone"])
def test_what_is_zeroed_once_is_learned_anew_with_the_rest_or_alone(toy, method):
    first, *states = _states(toy, method, total_steps=4, **PULLED)[0]
    hidden = ~_mask(first)
    assert hidden.sum() == SIZE // 2
    assert not _kernel(first)[hidden].any()
    assert _kernel(first)[~hidden].all()
    for state in states:
        is_moved = _kernel(first) != _kernel(state)
        assert not (is_moved & ~(hidden | (method == "relearn"))).any()
    # The toy's diagonal, by which entries would predict themselves, has no gradient.
    assert (is_moved | ~hidden | np.eye(6, dtype=bool)).all()
    assert (is_moved[~hidden] == (method == "relearn")).all()


def _gradient(toy, state, config):
    """The dense gradient of the step after a state."""
    task, step = toy.Task(), int(state.step)
    keys = masking.example_keys(jax.random.key(config.seed), step, jnp.arange(config.batch_size))
    batches = toy.Data(config.batch_size).train_batches(step)
    sums = lambda params: task.loss(params, next(batches), Context(keys, step))[:2]  # noqa: E731
    gradient, weight = jax.grad(sums, has_aux=True)(state.params)
    return np.asarray(gradient["kernel"]) / float(weight)


def test_rigl_drops_and_grows_as_its_algorithm_says(toy):
    """Evci et al. 2020, algorithm 1, in NumPy: that step moves no weight."""
    options = {"every_steps": 4, "end_step": 16, "drop": 0.5, "drop_schedule": "cosine"}
    states, _ = _states(toy, "rigl", **options, optimizer__warmup_steps=0)
    config = toy.config()
    num_grown = 0
    for step, (before, after) in enumerate(itertools.pairwise(states), 1):
        if step not in (4, 8, 12):
            np.testing.assert_array_equal(_mask(before), _mask(after))
            continue
        kept, weights = _mask(before).ravel(), _kernel(before).ravel()
        share = 0.5 / 2 * (1 + np.cos(np.pi * step / 16))
        num_dropped = int(share * kept.sum())
        gradient = abs(_gradient(toy, before, config)).ravel()
        drop = sorted(np.flatnonzero(kept), key=lambda i: (abs(weights[i]), -i))[:num_dropped]
        staying = kept.copy()
        staying[drop] = False
        grow = sorted(np.flatnonzero(~staying), key=lambda i: (-gradient[i], i))[:num_dropped]
        wanted = staying.copy()
        wanted[grow] = True
        np.testing.assert_array_equal(_mask(after).ravel(), wanted)
        np.testing.assert_array_equal(_kernel(after).ravel(), np.where(wanted, weights, 0))
        for moment in _moments(after):
            assert not moment.ravel()[wanted & ~kept].any()
        num_grown += (wanted & ~kept).sum()
    assert num_grown > 0


def test_a_lottery_s_weights_and_rates_return_to_the_beginning(toy):
    states, metrics = _states(toy, "lottery", begin_step=6, sparsity=0.25)
    first, after = states[0], states[6]
    assert _mask(states[5]).all()
    np.testing.assert_array_equal(_kernel(after), np.where(_mask(after), _kernel(first), 0))
    np.testing.assert_array_equal(after.params["bias"], first.params["bias"])
    assert not any(x.any() for x in _moments(after))
    # Frankle & Carbin 2019, section 1: what is smallest of the trained weights is left out.
    _, dense = toy.trajectory(toy.config(total_steps=6))
    smallest = np.argsort(abs(_kernel(dense)), axis=None)[:9]
    assert set(np.flatnonzero(~_mask(after))) == set(smallest)
    rates = [m["learning_rate"] for m in metrics]
    assert rates[:6] == rates[6:]


def test_straight_through_hides_n_of_m_from_the_model_alone(toy):
    states, _ = _states(toy, "sr_ste", granularity="1:3", total_steps=5, **PULLED)
    for before, after in itertools.pairwise(states):
        kept = _mask(after)
        assert (kept.reshape(2, 3, 6).sum(axis=1) == 1).all()
        aside = np.asarray(after.param_masks.aside["kernel"])
        np.testing.assert_array_equal(_kernel(after), np.where(kept, aside, 0))
        largest = abs(aside).reshape(2, 3, 6).argmax(axis=1)
        assert (kept.reshape(2, 3, 6).argmax(axis=1) == largest).all()
        assert (aside != np.asarray(before.param_masks.aside["kernel"])).all()


def test_a_change_that_a_step_which_is_not_finite_could_not_make_comes_with_the_next(toy):
    task = toy.Task(poison=lambda step: jnp.where(step == 3, jnp.nan, 1.0))
    states, metrics = _states(toy, "magnitude", task, begin_step=4, total_steps=6)
    assert [m["nonfinite_total"] for m in metrics] == [0, 0, 0, 1, 1, 1]
    assert [(~_mask(state)).sum() for state in states] == [0, 0, 0, 0, 0, 18, 18]


def test_place_and_extent_follow_the_error_and_kept_weights_are_soft(toy):
    options = {"rule": "steepest", "schedule": "error", "every_steps": 3, "softness": 0.25}
    states, metrics = _states(toy, "stay_zero", **options, optimizer__warmup_steps=0)
    now = first = metrics[0]["loss"]
    for step, (report, before, after) in enumerate(zip(metrics, states, states[1:]), 1):
        now = 0.9 * now + 0.1 * report["loss"] if step > 1 else now
        # The first change is that of the first gradient, and from there on every third step.
        if step % 3 == 1:
            gradient = abs(_gradient(toy, before, toy.config()))
            hidden = _mask(after) == 0
            assert hidden.sum() == pytest.approx(SIZE * 0.5 * min(now / first, 1), abs=0.51)
            assert gradient[hidden].min() >= gradient[~hidden].max()
        kept = _mask(after)[_mask(after) > 0]
        assert kept.min() >= 0.75
        assert kept.max() < 1
        assert not _kernel(after)[_mask(after) == 0].any()


WRONG = {
    "param_masks.include 'kernle' is found in none of the 2 paths.*nearest: kernel": {
        "include": ("kernle",)
    },
    "granularity '3:2' keeps 3 of 2: N must be from 1 to M": {"granularity": "3:2"},
    "kernel of shape \\(6, 6\\) has no axis -2 of a multiple of 4; exclude it": {
        "granularity": "2:4"
    },
    "no 4 heads: set param_masks.num_heads": {
        "granularity": "head", "num_heads": 4, "include": ("kernel",)
    },
    "bias .*has no 2 heads: set .*num_heads .* and param_masks.include to its attention's": {
        "granularity": "head", "num_heads": 2, "include": ("bias",)
    },
    "bias .*has no neurons: name it, and others alike, in param_masks.exclude, as .'bias\\$',": {
        "granularity": "neuron", "include": ("bias",)
    },
    "leaves nothing to hide of 2 leaves .in param_masks.exclude: kernel": {"exclude": ("kernel",)},
    "param_masks.sparsities holds .'kernel', 1.5.: give pairs": {"sparsities": (("kernel", 1.5),)},
    "rule is 'magnitud'.*did you mean 'magnitude'": {"rule": "magnitud"},
    "every_steps is 0, and schedule 'cubic' goes on": {"schedule": "cubic", "end_step": 9},
    "end_step 3 must come after begin_step 5": {
        "schedule": "cubic", "every_steps": 1, "begin_step": 5, "end_step": 3
    },
    "rewind_step 8 must come before the first change": {"rewind_step": 8, "begin_step": 8},
    "scope 'global' needs param_masks.density='uniform'": {"scope": "global", "density": "erk"},
    "grow 'random' needs param_masks.hides='weights'": {
        "grow": "random", "every_steps": 2, "hides": "updates"
    },
    "observe_steps 1, which move nothing, leave none of every_steps 1": {
        "rule": "steepest", "every_steps": 1
    },
    "end_step 13 comes after total_steps 12": {
        "schedule": "cubic", "every_steps": 1, "end_step": 13
    },
    "release_step 13 comes after total_steps 12": {"release_step": 13},
    "every_steps 13 comes after total_steps 12": {"every_steps": 13},
    "sparsity has no place beside granularity '2:4'.*set it to None": {
        "granularity": "2:4", "sparsity": 0.9
    },
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_what_does_not_go_together_or_fit_the_model_is_refused(toy, message):
    options = {f"param_masks__{name}": x for name, x in WRONG[message].items()}
    params = jax.eval_shape(toy.Task().init, jax.random.key(0))
    with pytest.raises(ValueError, match=message) as found:
        make_update(toy.config(param_masks__method="magnitude", **options), params)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "given",
    [
        {"method": "gradual", "file": "runs/prune"},
        {"method": "lottery", "file": "runs/prune"},
        {"method": "rigl", "file": "runs/prune", "every_steps": 0},
        {"method": "rigl", "rule": "saliency"},
        {"method": "movement", "grow": "random"},
        {"method": "gradual", "granularity": "2:4", "scope": "global"},
    ],
)
def test_who_sets_all_that_a_refusal_asks_for_is_not_refused_again(given):
    with pytest.raises(ValueError, match="needs param_masks") as refused:
        options_of(given, 100)
    asked = re.findall(r"param_masks\.(\w+)=('\w+'|[-\d.]+)", str(refused.value))
    assert options_of(given | {name: ast.literal_eval(x) for name, x in asked}, 100)


def test_keys_without_a_method_and_unknown_methods_are_refused():
    with pytest.raises(ValueError, match=r"param_masks.sparsity changes nothing: set .*method"):
        options_of({"method": "", "sparsity": 0.5}, 10)
    with pytest.raises(ValueError, match=r"param_masks.method: unknown method 'rigel'.*'rigl'"):
        options_of({"method": "rigel"}, 10)
    assert options_of({"method": "", "sparsity": None, "include": ()}, 10) is None
    with pytest.raises(ValueError, match=r"'top_k': masks that are learned .*mask_tune.py:learned"):
        options_of({"method": "top_k"}, 10)


def test_lines_tell_what_share_of_masks_changed_since_the_one_before(toy, tmp_path):
    times = {"param_masks__every_steps": 1, "param_masks__end_step": 6}
    config = toy.config(total_steps=8, param_masks__method="gradual", **times)
    toy.fit(tmp_path, config)
    lines = [line for line in toy.lines(tmp_path) if line["split"] == "train"]
    told = [(line["sparsity/kernel"], line["mask_changes/kernel"]) for line in lines]
    assert len(told) == 5  # of steps 1, 2, 4, 6 and 8
    hidden = 0.0
    for now, changed in told:  # what gradual pruning hides never returns
        assert changed == pytest.approx(now - hidden)
        hidden = now
    assert 0 < told[0][1] < told[3][0] == told[4][0]
    assert told[4][1] == 0


@pytest.fixture
def taken(tmp_path):
    """Keys that take masks of a file, and the masks."""
    kept = np.random.default_rng(0).random((6, 6)) < 0.25
    (tmp_path / "masks").mkdir()
    write_masks(tmp_path / "masks", {"kernel": kept, "bias": None})
    return {"param_masks__method": "random", "param_masks__file": str(tmp_path / "masks")}, kept


def test_masks_of_a_file_are_those_of_the_same_model(toy, taken, tmp_path):
    keys, kept = taken
    np.testing.assert_array_equal(_mask(run.initial_state(toy.Task(), toy.config(**keys))), kept)
    other = {"kernel": jnp.zeros((6, 5)), "bias": jnp.zeros(6)}
    with pytest.raises(ValueError, match=r"another model .*another shape kernel \[6, 6\], here"):
        make_update(toy.config(**keys), other)
    with pytest.raises(FileNotFoundError, match="give the folder of a finished run"):
        make_update(toy.config(**keys | {"param_masks__file": str(tmp_path / "none")}), other)


def test_masks_of_a_model_of_fewer_blocks_and_those_that_keep_nothing_are_refused(toy, tmp_path):
    keys = {"param_masks__method": "random", "param_masks__file": str(tmp_path)}
    leaf = jnp.zeros((2, 2))
    deeper = {"encoder": {"block0": leaf, "block1": leaf}, "head": leaf}
    write_masks(tmp_path, {"encoder": {"block0": np.eye(2) > 0}, "decoder": None})
    with pytest.raises(ValueError, match=r"another model \(it lacks encoder/block1\)"):
        make_update(toy.config(**keys), deeper)
    write_masks(tmp_path, {"encoder": {"block0": np.eye(2) > 0, "block1": None}, "decoder": None})
    update = make_update(toy.config(**keys), deeper)  # the encoder's, for another head
    assert jax.tree.leaves(update.masks.cutting.sparsities) == [0.5]
    write_masks(tmp_path, {"encoder": {"block0": np.eye(2) > 1, "block1": None}})
    with pytest.raises(ValueError, match=r"param_masks.file keeps nothing of encoder/block0: give"):
        make_update(toy.config(**keys), deeper)


def test_masks_of_a_file_are_taken_where_they_are_asked_for_and_leaves_train(toy, taken):
    keys, _ = taken
    params = jax.eval_shape(toy.Task().init, jax.random.key(0))
    for others, why in (
        ({"optimizer__frozen": ("kernel",)}, "frozen: kernel"),
        ({"param_masks__exclude": ("kernel",)}, "in param_masks.exclude: kernel"),
        ({"param_masks__include": ("bias",)}, "without a mask in the file: bias"),
    ):
        with pytest.raises(ValueError, match=f"leaves nothing to hide of 2 leaves .{why}"):
            make_update(toy.config(**keys, **others), params)


def test_masks_of_a_file_may_be_released(toy, taken):
    keys, kept = taken
    states = []
    config = toy.config(**keys, param_masks__release_step=4, total_steps=6)
    toy.trajectory(config, on_step=lambda state: states.append(jax.device_get(state)))
    for state in states[:3]:
        np.testing.assert_array_equal(_mask(state), kept)
        assert not _kernel(state)[~kept].any()
    assert all(_mask(state).all() for state in states[3:])
    assert _kernel(states[5])[~kept].any()


def test_a_run_keeps_the_masks_that_it_took_from_a_file(toy, taken, tmp_path):
    keys, kept = taken
    config = toy.config(**keys, total_steps=6, save_every_steps=3)
    straight = toy.fit(tmp_path / "run", config)
    shutil.rmtree(tmp_path / "masks")
    state = run.load_state(toy.Task(), config, tmp_path / "run")
    np.testing.assert_array_equal(_mask(state), kept)
    (tmp_path / "run" / "summary.json").unlink()  # as if it was killed
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "6")
    assert toy.fit(tmp_path / "run", config)["params_sha256"] == straight["params_sha256"]


def test_weights_of_a_step_that_was_skipped_are_those_before_it(toy):
    task = toy.Task(poison=lambda step: jnp.where(step == 2, jnp.nan, 1.0))
    states, metrics = _states(toy, "lottery", task, begin_step=6, rewind_step=3, total_steps=6)
    assert metrics[-1]["nonfinite_total"] == 1
    wanted = np.where(_mask(states[6]), _kernel(states[3]), 0)
    np.testing.assert_array_equal(_kernel(states[6]), wanted)


def test_steps_that_look_at_gradients_leave_some_that_train_in_a_short_run(toy):
    options = options_of({"method": "rigl"}, 6)
    assert (options.observe_steps, options.every_steps) == (1, 2)
    states, _ = _states(toy, "rigl", total_steps=6, optimizer__warmup_steps=0)
    moved = [(_kernel(a) != _kernel(b)).any() for a, b in itertools.pairwise(states)]
    assert moved[0]
    assert moved[2]
