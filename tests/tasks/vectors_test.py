"""The perceptron on vectors: its loss from the definition, and what it refuses."""

import types

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from maskjax.tasks import vectors
from maskjax.tasks.task import Context

DATA = types.SimpleNamespace(shape=(10, 1))
KEYS = jax.random.split(jax.random.key(1), 6)


def _task(**changes):
    config = ConfigDict(
        {
            "data": {"source": "vectors:0.9"},
            "mask": {"rule": "random", "ratio": 0.5, "fill": "noise"},
            "model": {"hidden": (7, 7), "num_targets": 0},
            "loss": {"on": "masked"},
        }
    )
    config.update_from_flattened_dict(changes)
    return vectors.build(config, DATA)


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
def test_loss_is_the_squared_error_on_the_entries_that_count(batch, on, targets):
    task = _task(**{"loss.on": on, "model.num_targets": targets})
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


def test_nothing_hidden_is_a_plain_autoencoder(batch):
    task = _task(**{"mask.rule": "none", "loss.on": "all"})
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


def test_zeros_may_stand_for_what_is_hidden(batch):
    task = _task(**{"mask.fill": "zero"})
    params = task.init(jax.random.key(0))
    panel = task.show(params, batch, Context(KEYS))["reconstructions"]
    assert (np.asarray(panel.seen) == 0).sum() == 30


def test_best_loss_is_known_for_the_source_that_has_one_and_for_no_other():
    assert _task(**{"data.source": "vectors"}).best == pytest.approx(1.0)
    assert 0 < _task().best < 0.5
    assert _task(**{"data.source": "digits"}).best is None


def test_parameters_are_those_of_a_perceptron_of_10_7_7_10():
    shapes = jax.eval_shape(_task().init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == (10 * 7 + 7) + (7 * 7 + 7) + (7 * 10 + 10)
    assert _task().flops_per_example == 6 * (70 + 49 + 70)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask.rule": "rnadom"}, "unknown mask.rule 'rnadom' (did you mean 'random'?)"),
        ({"mask.fill": "token"}, "unknown mask.fill 'token'"),
        ({"loss.on": "hidden"}, "unknown loss.on 'hidden'"),
        ({"model.num_targets": 11}, "model.num_targets 11 must be at most 10"),
        ({"model.num_targets": -1}, "model.num_targets -1 must be at most 10"),
        ({"model.hidden": (7, 0)}, "model.hidden (7, 0) must hold widths of at least 1"),
        ({"mask.ratio": 0.0}, "mask.ratio 0.0 must hide at least one of 10"),
        ({"mask.ratio": 1.5}, "mask.ratio 1.5 must hide"),
        ({"mask.rule": "none"}, "loss.on 'masked' could count: set it to 'all'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError) as refused:
        _task(**changes)
    assert message in str(refused.value)
