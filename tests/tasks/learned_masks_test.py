"""Learned masks: gates by their equations, what trains, and what has to be kept."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import tasks
from maskjax.masking.parameters import gates
from maskjax.tasks.learned_masks import MASKS, with_artefact


def test_hard_gates_are_those_of_their_equations():
    """Louizos et al. 2018, equations 10 to 13, with beta 2/3, gamma -.1, zeta 1.1."""
    log_alpha = np.linspace(-5, 5, 11)
    key = jax.random.key(0)
    u = np.float64(jax.random.uniform(key, (11,), minval=1e-6, maxval=1 - 1e-6))
    s = 1 / (1 + np.exp(-(np.log(u / (1 - u)) + log_alpha) * 1.5))
    wanted = np.clip(s * 1.2 - 0.1, 0, 1)
    found = gates.hard_concrete(jnp.float32(log_alpha), key)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert {0.0, 1.0} <= set(np.asarray(found).tolist())
    # The chance, by a hundred thousand draws.
    draws = gates.hard_concrete(jnp.full(100_000, 0.5), key) > 0
    chance = gates.chance_of_open(jnp.float32(0.5))
    assert float(draws.mean()) == pytest.approx(float(chance), abs=0.005)


def test_binary_masks_are_exact_and_hand_gradients_through():
    scores = jnp.array([[0.3, -0.1], [0.011, 0.3]])
    weights = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    assert gates.threshold(scores).tolist() == [[1, 0], [1, 1]]
    assert gates.top_k(scores, 0.5).tolist() == [[1, 0], [0, 1]]
    assert gates.top_k(jnp.ones(4), 0.99).tolist() == [1, 0, 0, 0]
    slope = jax.grad(lambda s: (gates.top_k(s, 0.5) * weights).sum())(scores)
    np.testing.assert_array_equal(slope, weights)  # as if the mask were the score


@pytest.fixture(scope="module")
def make(load_config):
    """`make(**overrides)`: the task on small images."""

    def make(**overrides):
        changes = {"model.encoder": {"width": 8, "depth": 1, "heads": 2}}
        config = load_config("mask_tune", "learned_smoke", **(changes | overrides))
        return tasks.build(config, types.SimpleNamespace(shape=(8, 8, 1), num_classes=3))

    return make


@pytest.fixture(scope="module")
def task(make):
    """The task, of which masks of another kind are copies."""
    return make(**{"learned.sparsity": 0.25})


def _random(shapes, seed, scale):
    rng = np.random.default_rng(seed)
    draw = lambda x: jnp.float32(scale * rng.normal(size=x.shape))  # noqa: E731
    return jax.tree.map(draw, shapes)


def _leaf(tree, path):
    return functools.reduce(lambda part, name: part[name], path.split("/"), tree)


@pytest.mark.parametrize(
    ("kind", "mean"), [("threshold", 0), ("top_k", 0), ("hard_concrete", 0), ("hard_concrete", -11)]
)
def test_an_artefact_on_the_first_weights_makes_what_the_model_saw(task, kind, mean):
    task = dataclasses.replace(task, kind=kind)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    params = {name: _random(part, len(name), 0.1) for name, part in shapes.items()}
    params[MASKS] = jax.tree.map(lambda x: x + mean, _random(shapes[MASKS], 1, 4.0))
    before = {"encoder": params["encoder"], "head": _random(shapes["head"], 2, 0.1)}
    plain, seen = task.without_adapters(params)
    assert plain is task.inner
    kept = task.artefact(params)
    found = with_artefact(before, kept)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), found, dict(seen))
    path = "encoder/transformer/block00/mlp/fc1/kernel"
    was, now = (np.asarray(_leaf(tree, path)) for tree in (params, found))
    changed = int((was != now).sum())
    if kind == "hard_concrete":
        assert 0 < len(kept[f"add/{path}"]) == changed < was.size
        # Places of 32 bits where few are open, else a bit for each.
        how, size = ("at", 4 * changed) if mean else ("open", was.size // 8)
        assert kept[f"{how}/{path}"].nbytes == size <= min(4 * changed, was.size // 8)
    else:
        assert 8 * kept[f"mask/{path}"].nbytes == was.size
        assert kind == "threshold" or changed == was.size // 4


def test_what_is_added_is_added_to_leaves_that_lie_in_another_order():
    first = {"kernel": np.asfortranarray(np.zeros((2, 3), np.float32))}
    at = np.array([1, 3], np.uint32)
    found = with_artefact(first, {"at/kernel": at, "add/kernel": np.array([5.0, 6.0], np.float32)})
    assert found["kernel"].tolist() == [[0, 5, 0], [6, 0, 0]]
    assert not first["kernel"].any()


def test_the_task_on_masked_weights_is_another(make):
    with pytest.raises(ValueError, match=r"learned.task 'learned_masks' is this task itself: give"):
        make(**{"learned.task": "learned_masks"})


def test_weights_that_train_are_not_masked(make):
    with pytest.raises(ValueError, match=r"lets encoder/\S+ train.*set it to \('\^encoder/',\)"):
        make(**{"optimizer.frozen": ("^head/",)})
    with pytest.raises(ValueError, match=r"unknown learned.kind 'treshold'.*did you mean"):
        make(**{"learned.kind": "treshold"})
    with pytest.raises(ValueError, match=r"learned.include 'atn/' is found in none"):
        make(**{"learned.include": ("atn/",)})
