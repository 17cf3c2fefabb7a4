"""Heads: how much the loss depends on them, and models without some."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import tasks
from maskjax.data.text.tokenizer import Specials
from maskjax.evaluation.metrics import numbers
from maskjax.tasks.head_pruning import without_heads
from maskjax.tasks.mlm import MaskedText
from maskjax.tasks.task import Context

ROWS, LENGTH, NUM_IDS, DEPTH, HEADS, SIDE = 3, 8, 20, 2, 2, 4
SMALL = {"model.form": "bert", "model.width": 8, "model.depth": DEPTH, "model.heads": HEADS}


@pytest.fixture(scope="module")
def data():
    names = types.SimpleNamespace(
        vocab_size=NUM_IDS, specials=Specials(mask=4), special_ids=(0, 1, 2, 3, 4)
    )
    return types.SimpleNamespace(
        processor=types.SimpleNamespace(tokenizer=names, max_length=LENGTH)
    )


@pytest.fixture(scope="module")
def made(load_config, data):
    """A task, parameters of which heads do much, and rows."""
    config = load_config("head_pruning", "smoke", **SMALL, **{"mask.eval_ratio": 0.4})
    task = tasks.build(config, data)
    drawn = iter(jax.random.split(jax.random.key(0), 99))
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    params = jax.tree.map(lambda x: jax.random.normal(next(drawn), x.shape), shapes)
    tokens = np.random.default_rng(0).integers(5, NUM_IDS, (ROWS, LENGTH)).astype(np.int32)
    batch = {
        "tokens": tokens,
        "segment_ids": np.ones_like(tokens),
        "positions": np.tile(np.arange(LENGTH, dtype=np.int32), (ROWS, 1)),
        "is_special": np.zeros(tokens.shape, bool),
        "is_valid": np.ones(ROWS, bool),
    }
    context = Context(jax.random.split(jax.random.key(1), ROWS), jnp.int32(0), train=False)
    return task, params, jax.tree.map(jnp.asarray, batch), context


def scaled(params, block, head, factor):
    """Parameters by which one head gives so many times as much."""
    flags = np.arange(HEADS * SIDE) // SIDE == head
    kernel = params["encoder"]["blocks"][f"block{block:02d}"]["attn"]["out"]["kernel"]
    other = jax.tree.map(lambda x: x, params)
    blocks = other["encoder"]["blocks"]
    blocks[f"block{block:02d}"]["attn"]["out"]["kernel"] = jnp.where(
        flags[:, None], factor * kernel, kernel
    )
    return other


def test_importance_is_the_slope_of_each_loss_by_what_a_head_gives(made):
    """|dLoss / dxi| by central differences, a row at a time."""
    task, params, batch, context = made
    found = jax.jit(task.outputs()["head_importance"])(params, batch, context)
    loss = jax.jit(lambda *given: task.loss(*given, context))
    step, slopes = 1e-2, np.zeros((ROWS, DEPTH, HEADS))
    for row, block, head in np.ndindex(slopes.shape):
        alone = batch | {"is_valid": np.arange(ROWS) == row}
        up, down = (loss(scaled(params, block, head, 1 + e), alone) for e in (step, -step))
        slopes[row, block, head] = (up.loss - down.loss) / (2 * step * up.weight)
    assert abs(slopes).max() > 0.05, slopes
    np.testing.assert_allclose(found, abs(slopes), atol=2e-3)
    sums = loss(params, batch)
    measured = numbers(sums.metrics)["importance/1.0"]
    np.testing.assert_allclose(measured, abs(slopes[:, 1, 0]).mean(), atol=2e-3)


def test_heads_without_weights_give_nothing_and_stay_away(made):
    task, params, batch, context = made
    is_kept = np.array([[True, False], [False, True]])
    pruned = without_heads(params, is_kept)
    loss = jax.jit(lambda params: MaskedText.loss(task, params, batch, context).loss)
    expected = loss(scaled(scaled(params, 0, 1, 0.0), 1, 0, 0.0))
    np.testing.assert_allclose(loss(pruned), expected, rtol=1e-6)
    gradient = jax.jit(jax.grad(loss))(pruned)
    for block, gone in ((0, slice(SIDE, None)), (1, slice(None, SIDE))):
        name = f"block{block:02d}"
        weights, slopes = (x["encoder"]["blocks"][name]["attn"] for x in (pruned, gradient))
        for tree in (weights, slopes):
            assert not np.asarray(tree["value"]["kernel"])[:, gone].any()
            assert not np.asarray(tree["value"]["bias"])[gone].any()
            assert not np.asarray(tree["out"]["kernel"])[gone].any()
        assert np.asarray(weights["out"]["kernel"]).any()
        assert np.asarray(slopes["out"]["kernel"]).any()


def test_the_least_of_their_block_go_first(made, load_config, data):
    """Block 1's are smaller, but within its norm [.6, .8] they are not the least."""
    _, params, *_ = made
    rows = np.array([[[5.0, 1.0], [0.06, 0.08]], [[7.0, 1.0], [0.06, 0.08]]], np.float32)
    task = tasks.build(
        load_config("head_pruning", "smoke", **SMALL, **{"model.prune_heads": 1}), data
    )
    found = task.begin(params, rows)
    expected = without_heads(params, np.array([[True, False], [True, True]]))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.prune_heads": 5}, "model.prune_heads 5 must be from 0 to the 4 heads"),
        ({"model.prune_order": "size"}, "unknown model.prune_order 'size'"),
        ({"total_steps": 3}, "total_steps is 3: set it to 0"),
    ],
)
def test_what_cannot_be_pruned_names_its_key(load_config, data, changes, message):
    with pytest.raises(ValueError, match=message):
        tasks.build(load_config("head_pruning", "smoke", **SMALL | changes), data)
