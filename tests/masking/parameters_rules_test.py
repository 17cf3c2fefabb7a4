"""Rules for weights against their definitions, ties, and what they refuse."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking import parameters

KEY = jax.random.key(0)
NAMES = ("magnitude", "saliency", "movement", "weight_blocks")
ARRAYS = {
    "magnitude": ("weights",),
    "saliency": ("weights", "gradients"),
    "movement": ("movement",),
    "weight_blocks": ("weights",),
}


def _arrays(name, grid, seed=0):
    random = np.random.RandomState(seed)
    # Few distinct numbers: many ties.
    return {a: np.float32(random.randint(-3, 4, grid)) / 2 for a in ARRAYS[name]}


def slow_cut(scores, count):
    """Indices of the highest scores; of equal ones the last go and the lowest index stays."""
    ranked = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    is_masked = np.zeros(len(scores), bool)
    is_masked[ranked[len(scores) - count :]] = True
    return is_masked


SLOW = {
    "magnitude": lambda weights: -abs(weights),
    "saliency": lambda weights, gradients: -abs(weights * gradients),
    "movement": lambda movement: -movement,
    "weight_blocks": lambda weights: slow_blocks(weights, 2),
}


def slow_blocks(weights, side):
    scores = np.zeros(weights.shape)
    for at in np.ndindex(weights.shape):
        tile = tuple(slice(i // side * side, i // side * side + side) for i in at)
        scores[at] = -abs(weights[tile]).max()
    return scores


@functools.cache
def _drawing(name, grid):
    rule = masking.make_rule(name, **({"tile": 2} if name == "weight_blocks" else {}))
    return jax.jit(
        lambda counts, arrays: masking.draw_counts(
            rule, jax.random.split(KEY, 2), grid, counts, **arrays
        )
    )


@pytest.mark.parametrize("grid", [(1,), (11,), (5, 4), (3, 2, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_a_rule_hides_what_its_definition_says_with_ties_to_the_lowest_index(name, grid):
    rows = [_arrays(name, grid, seed) for seed in (0, 1)]
    arrays = {a: jnp.stack([row[a] for row in rows]) for a in ARRAYS[name]}
    length = math.prod(grid)
    for count in sorted({0, 1, length // 2, length - 1, length}):
        counts = jnp.array([count, length - count])
        drawn = _drawing(name, grid)(counts, arrays)
        for row in range(2):
            scores = SLOW[name](**rows[row]).reshape(-1)
            np.testing.assert_array_equal(drawn[row], slow_cut(scores, int(counts[row])))


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_belongs_to_the_sheet_of_weights_alone(name):
    assert masking.RULES[name].on == ("weights",)


def test_ties_go_as_by_top_k_over_what_is_kept():
    weights = jnp.array([1.0, -1.0, 0.0, 1.0, -0.0, 1.0, 2.0])
    rule = masking.make_rule("magnitude")
    for count in range(8):
        drawn = masking.draw(rule, KEY[None], (7,), count, weights=weights[None]).is_masked[0]
        kept = jax.lax.top_k(abs(weights), 7 - count)[1]
        assert sorted(kept.tolist()) == np.flatnonzero(~drawn).tolist()


def test_products_of_bfloat16_do_not_tie():
    weights = jnp.array([1.0078125, 1.0], jnp.bfloat16)
    gradients = jnp.array([1.0078125, 1.015625], jnp.bfloat16)
    scores = parameters.saliency(KEY, (2,), 1, weights=weights, gradients=gradients)
    assert scores.dtype == jnp.float32
    assert scores[0] < scores[1]  # 1.01568604 above 1.015625, both 1.015625 in bfloat16


def test_infinite_weights_are_never_hidden():
    weights = jnp.array([[jnp.inf, 1.0, -jnp.inf]])
    drawn = masking.draw(masking.make_rule("magnitude"), KEY[None], (3,), 2, weights=weights)
    assert drawn.is_masked.tolist() == [[False, True, False]]


SHAPES = [(6, 9), (7,), (2, 3, 5)]


@functools.cache
def _blocks(grid, tile):
    return jax.jit(
        lambda weights: parameters.weight_blocks(KEY, grid, 0, weights=weights, tile=tile)
    )


@given(st.sampled_from(SHAPES), st.sampled_from([1, 3, 50]), st.integers(0, 2**20))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_tiles_share_the_score_of_their_largest_weight(grid, side, seed):
    weights = np.float32(np.random.RandomState(seed).randn(*grid))
    scores = _blocks(grid, side)(jnp.asarray(weights)).reshape(grid)
    np.testing.assert_array_equal(scores, np.float32(slow_blocks(weights, side)))


def test_tiles_need_not_be_square_and_go_whole():
    weights = jnp.asarray(np.random.RandomState(0).randn(4, 6), jnp.float32)
    rule = masking.make_rule("weight_blocks", tile=(2, 3))
    drawn = masking.draw(rule, KEY[None], (4, 6), 18, weights=weights[None]).is_masked
    tiles = np.asarray(drawn).reshape(2, 2, 2, 3).swapaxes(1, 2).reshape(4, 6)
    assert sorted(tiles.sum(axis=1).tolist()) == [0, 6, 6, 6]


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_another_shape_are_refused(name):
    arrays = {a: jnp.ones((2, 3)) for a in ARRAYS[name]}
    message = rf"{ARRAYS[name][0]} of shape \(2, 3\) for grid \(3, 2\)"
    with pytest.raises(ValueError, match=message):
        masking.make_rule(name)(KEY, (3, 2), 1, **arrays)
    with pytest.raises(ValueError, match=f"rule {name} needs {ARRAYS[name][0]}"):
        masking.draw(masking.make_rule(name), KEY[None], (3, 2), 1)


@pytest.mark.parametrize("tile", [0, (2, 0), (2,)])
def test_tiles_that_do_not_fit_are_refused(tile):
    with pytest.raises(ValueError, match="give one of at least 1, or one per axis"):
        parameters.weight_blocks(KEY, (4, 4), 1, weights=jnp.ones((4, 4)), tile=tile)
