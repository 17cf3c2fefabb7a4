"""The perceptron on vectors: its loss from the definition, and what it refuses."""

import types

import jax
import numpy as np
import pytest

from maskjax.tasks import vectors
from maskjax.tasks.task import Context

DATA = types.SimpleNamespace(shape=(10, 1), num_train=1000)
KEYS = jax.random.split(jax.random.key(1), 6)


@pytest.fixture(scope="module")
def make(load_config):
    """`make(**changes)`: the task of configs/vectors.py with these changes."""
    return lambda **changes: vectors.build(load_config("vectors", **changes), DATA)


@pytest.fixture(scope="module")
def batch():
    inputs = np.random.default_rng(0).normal(size=(6, 10, 1)).astype(np.float32)
    return {"inputs": inputs, "is_valid": np.arange(6) < 5}


def _by_hand(params, x):
    """The perceptron, layer by layer."""
    for name in ("hidden0", "hidden1"):
        x = np.maximum(x @ params[name]["kernel"] + params[name]["bias"], 0)
    return x @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize(("on", "targets"), [("masked", 0), ("masked", 5), ("all", 5)])
def test_loss_is_the_squared_error_on_the_entries_that_count(make, batch, on, targets):
    task = make(**{"loss.on": on, "model.num_targets": targets})
    params = jax.device_get(task.init(jax.random.key(0)))
    sums = jax.device_get(task.loss(params, batch, Context(KEYS)))
    panel = jax.device_get(task.show(params, batch, Context(KEYS))["reconstructions"])
    loss = weight = square = 0.0
    for row in range(5):  # the sixth is padding
        is_hidden, seen = panel.is_hidden[row, :, 0], panel.seen[row, :, 0]
        assert is_hidden.sum() == 5
        truth = batch["inputs"][row, :, 0]
        np.testing.assert_array_equal(seen[~is_hidden], truth[~is_hidden])
        assert not (seen[is_hidden] == truth[is_hidden]).any()
        prediction = _by_hand(params, seen)
        np.testing.assert_allclose(
            panel.prediction[row, : len(prediction), 0], prediction, 1e-4, 1e-6
        )
        for entry in range(targets or 10):
            if on == "all" or is_hidden[entry]:
                loss += (prediction[entry] - truth[entry]) ** 2
                square += truth[entry] ** 2
                weight += 1
    np.testing.assert_allclose((sums.loss, sums.weight), (loss, weight), rtol=1e-5)
    constant = sums.metrics["constant_loss"].numbers("x")["x"]
    assert constant == pytest.approx(square / weight, rel=1e-5)


def test_nothing_hidden_is_a_plain_autoencoder(make, batch):
    task = make(**{"mask.rule": "none", "loss.on": "all"})
    params = jax.device_get(task.init(jax.random.key(0)))
    sums = task.loss(params, {"inputs": batch["inputs"]}, Context(KEYS))
    x = batch["inputs"][..., 0]
    expected = ((_by_hand(params, x) - x) ** 2).mean()
    assert float(sums.loss / sums.weight) == pytest.approx(expected, rel=1e-5)
    assert sums.metrics["best_loss"].numbers("x") == {"x": 0.0}
    outputs = task.outputs()
    context = Context(KEYS, train=False)
    found = outputs["prediction"](params, batch, context)
    np.testing.assert_allclose(found, _by_hand(params, x), rtol=1e-4, atol=1e-6)
    assert outputs["features"](params, batch, context).shape == (6, 7)


def test_zeros_may_stand_for_what_is_hidden(make, batch):
    task = make(**{"mask.fill": "zero"})
    params = task.init(jax.random.key(0))
    panel = task.show(params, batch, Context(KEYS))["reconstructions"]
    assert (np.asarray(panel.seen) == 0).sum() == 30


def test_best_loss_is_known_for_the_source_that_has_one_and_for_no_other(make):
    assert make(**{"data.source": "vectors"}).best == pytest.approx(1.0)
    assert 0 < make().best < 0.5
    assert make(**{"data.source": "digits"}).best is None
    assert make(**{"mask.rule": "sliding"}).best is None


def test_masks_may_follow_the_losses(make, batch):
    task = make(**{"mask.rule": "weighted", "model.num_targets": 5})
    params = task.init(jax.random.key(0))
    statistics = task.loss(params, batch, Context(KEYS, memory=task.start())).statistics
    panel = task.show(params, batch, Context(KEYS, memory=task.start()))["reconstructions"]
    error = np.square(np.asarray(panel.prediction) - batch["inputs"])[:5, :, 0]
    is_told = np.asarray(panel.is_hidden)[:5, :, 0] & (np.arange(10) < 5)
    found = [np.asarray(leaf) for leaf in jax.tree.leaves(statistics) if leaf.shape == (10,)]
    expected = np.where(is_told, error, 0).sum(0)
    assert any(np.allclose(leaf, expected, rtol=1e-4) for leaf in found)


@pytest.mark.parametrize(("missing", "on"), [("nan", "masked"), ("nan", "all"), ("hide", "masked")])
def test_numbers_that_are_missing_do_not_count_and_may_be_hidden(make, batch, missing, on):
    task = make(**{"data.missing": missing, "loss.on": on, "mask.rule": "weighted"})
    is_known = np.random.default_rng(1).random((6, 10, 1)) < 0.7
    batch = batch | {"inputs": np.where(is_known, batch["inputs"], 0), "is_known": is_known}
    params = jax.device_get(task.init(jax.random.key(0)))
    context = Context(KEYS, memory=task.start())
    sums = jax.device_get(task.loss(params, batch, context))
    panel = jax.device_get(task.show(params, batch, context)["reconstructions"])
    loss, weight, square, losses = 0.0, 0, 0.0, np.zeros(10)
    for row in range(5):  # the sixth is padding
        is_hidden, there = panel.is_hidden[row, :, 0], is_known[row, :, 0]
        if missing == "hide":
            assert is_hidden[~there].all()
            assert (~is_hidden).sum() == there.sum() // 2  # half of those that are there
        prediction = _by_hand(params, panel.seen[row, :, 0])
        for entry in range(10):
            truth = batch["inputs"][row, entry, 0]
            assert np.isnan(panel.original[row, entry, 0]) == (not there[entry])
            if there[entry] and (on == "all" or is_hidden[entry]):
                loss += (prediction[entry] - truth) ** 2
                square += truth**2
                weight += 1
            if there[entry] and is_hidden[entry]:
                losses[entry] += (prediction[entry] - truth) ** 2
    assert weight > 0
    np.testing.assert_allclose((sums.loss, sums.weight), (loss, weight), rtol=1e-5)
    constant = sums.metrics["constant_loss"].numbers("x")["x"]
    assert constant == pytest.approx(square / weight, rel=1e-5)
    found = [leaf for leaf in jax.tree.leaves(sums.statistics) if leaf.shape == (10,)]
    assert any(np.allclose(leaf, losses, rtol=1e-4) for leaf in found)


def test_parameters_are_those_of_a_perceptron_of_10_7_7_10(make):
    shapes = jax.eval_shape(make().init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == (10 * 7 + 7) + (7 * 7 + 7) + (7 * 10 + 10)
    params = make().init(jax.random.key(0))
    for name, fan_in in (("hidden0", 10), ("hidden1", 7), ("head", 7)):
        drawn = np.concatenate([np.ravel(leaf) for leaf in params[name].values()])
        assert 0.8 / fan_in**0.5 < np.abs(drawn).max() <= 1 / fan_in**0.5  # as PyTorch's Linear
    assert make().flops_per_example == 6 * (70 + 49 + 70)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask.rule": "rnadom"}, "unknown mask.rule 'rnadom' (did you mean 'random'?)"),
        ({"mask.rule": "span"}, "unknown mask.rule 'span'"),
        ({"mask.fill": "token"}, "unknown mask.fill 'token'"),
        ({"loss.on": "hidden"}, "unknown loss.on 'hidden'"),
        ({"model.num_targets": 11}, "model.num_targets 11 must be at most 10"),
        ({"model.num_targets": -1}, "model.num_targets -1 must be at most 10"),
        ({"model.hidden": (7, 0)}, "model.hidden (7, 0) must hold widths of at least 1"),
        ({"mask.ratio": 0.0}, "mask.ratio 0.0 must lie strictly between 0 and 1"),
        ({"mask.ratio": 0.99}, "at least one must be hidden"),
        ({"mask.rule": "none"}, "loss.on 'masked' could count: set loss.on to 'all'"),
    ],
)
def test_what_does_not_fit_is_refused(make, changes, message):
    with pytest.raises(ValueError) as refused:
        make(**changes)
    assert message in str(refused.value)
