"""Regions as masking rules: coverage of patches against loops, and what the rule hides."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking import regions

GRID, PATCH = (3, 4), (2, 5)
LENGTH, AREA = 12, 10
many = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)
_coverage = jax.jit(functools.partial(regions.patch_coverage, patch_size=PATCH))
_score = jax.jit(
    functools.partial(regions.region, grid=GRID, num_masked=0), static_argnames="min_share"
)


def _patch_counts(seed):
    """A region, and how many of its pixels lie in each patch."""
    random = np.random.RandomState(seed)
    density = random.choice([0.0, 0.3, 0.5, 1.0], size=GRID)
    is_inside = random.rand(6, 20) < np.kron(density, np.ones(PATCH))
    counts = []
    for row in range(GRID[0]):
        for column in range(GRID[1]):
            inside = 0
            for y in range(row * PATCH[0], (row + 1) * PATCH[0]):
                for x in range(column * PATCH[1], (column + 1) * PATCH[1]):
                    inside += bool(is_inside[y, x])
            counts.append(inside)
    return is_inside, np.array(counts)


@many
@given(seed=seeds)
def test_coverage_is_the_share_of_each_patch(seed):
    is_inside, counts = _patch_counts(seed)
    coverage = _coverage(jnp.asarray(is_inside))
    np.testing.assert_array_equal(coverage, np.float32(counts / AREA))


@pytest.mark.parametrize("tenths", range(1, 11))
def test_a_patch_at_the_share_is_covered(tenths):
    # Pixel counts 0 to 10 in patches of 10: a share of 0.3 means 3 pixels, whatever floats say.
    is_inside = jnp.arange(10)[None, None] < jnp.arange(11)[:, None, None]
    covered = regions.covered_patches(is_inside, (1, 10), min_share=tenths / 10)
    assert covered[:, 0].tolist() == [count >= tenths for count in range(11)]


@many
@given(seed=seeds, tenths=st.sampled_from([1, 3, 10]))
def test_the_rule_chooses_covered_patches_and_orders_all_by_coverage(seed, tenths):
    is_inside, counts = _patch_counts(seed)
    coverage = _coverage(jnp.asarray(is_inside))
    key = jax.random.key(seed)
    scores = np.asarray(_score(key, coverage=coverage, min_share=tenths / 10))
    np.testing.assert_array_equal(masking.cut_chosen(jnp.asarray(scores)), counts >= tenths)
    assert scores.min() >= 0
    assert scores.max() < 2
    assert (np.diff(counts[np.argsort(scores)]) >= 0).all()
    assert len(set(scores)) == LENGTH


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_any_count_is_exact_and_takes_the_most_covered(count):
    is_inside, counts = _patch_counts(5)
    keys = jax.random.split(jax.random.key(0), 6)
    coverage = jnp.tile(_coverage(jnp.asarray(is_inside)), (6, 1))
    drawn = masking.draw(masking.make_rule("region"), keys, GRID, count, coverage=coverage)
    assert (drawn.is_masked.sum(axis=1) == count).all()
    for is_masked in np.asarray(drawn.is_masked):
        assert sorted(counts[is_masked]) == sorted(counts)[LENGTH - count :]


def test_patches_covered_alike_are_drawn_uniformly():
    # Two of four that are covered by half; the full one always, the empty ones never.
    coverage = jnp.array([0.5, 0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 0.0])
    keys = jax.random.split(jax.random.key(1), 2000)
    scores = jax.jit(jax.vmap(lambda key: regions.region(key, (8,), 3, coverage=coverage)))(keys)
    share = np.asarray(masking.cut(scores, 3).is_masked).mean(axis=0)
    np.testing.assert_array_equal(share[[1, 3, 5, 7]], [0, 1, 0, 0])
    assert abs(share[[0, 2, 4, 6]] - 0.5).max() < 4 * np.sqrt(0.25 / 2000)


def test_candidates_outside_the_region_and_the_region_of_others():
    is_inside, counts = _patch_counts(5)
    coverage = _coverage(jnp.asarray(is_inside))[None]
    keys = jax.random.split(jax.random.key(0), 1)
    is_candidate = jnp.asarray(counts < 10)[None]
    rule = masking.make_rule("region")
    is_masked = masking.draw_counts(
        rule, keys, GRID, jnp.array([LENGTH]), coverage=coverage, is_candidate=is_candidate
    )
    np.testing.assert_array_equal(is_masked, is_candidate)
    # The background instead of the object.
    background = masking.draw(rule, keys, GRID, 4, coverage=1 - coverage).is_masked[0]
    assert sorted(counts[np.asarray(background)]) == sorted(counts)[:4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: regions.patch_coverage(x, 4), "4 x 4 pixels do not divide the 6 x 20"),
        (lambda x: regions.patch_coverage(x, (2, 3)), "2 x 3 pixels do not divide the 6 x 20"),
        (lambda x: regions.patch_coverage(x, 0), "patch_size 0 for grid"),
        (lambda x: regions.covered_patches(x, 2, min_share=0), "min_share 0 must be above 0"),
        (lambda x: regions.covered_patches(x, 2, min_share=1.1), "min_share 1.1 must be above 0"),
        (lambda x: _rule((5,), jnp.zeros(4)), r"coverage of shape \(4,\) for 5 positions"),
        (lambda x: _rule((4,), jnp.zeros(4), min_share=-1), "min_share -1 must be above 0"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((6, 20), bool))


def _rule(grid, coverage, **options):
    return regions.region(jax.random.key(0), grid, 1, coverage=coverage, **options)
