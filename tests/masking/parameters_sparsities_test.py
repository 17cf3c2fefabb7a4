"""Sparsities per leaf, per step and as counts, against loops and exact fractions."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax.masking import parameters

SHAPES = st.lists(
    st.lists(st.integers(1, 40), min_size=0, max_size=4).map(tuple), min_size=1, max_size=6
)


def _tree(shapes):
    """Shapes in place of arrays: the functions look at nothing else."""
    return {f"w{i}": jax.ShapeDtypeStruct(shape, jnp.float32) for i, shape in enumerate(shapes)}


def slow_erk(shapes, density):
    """Bisect the one factor: density_i = min(1, factor * sum / product) must fill the budget."""
    sums = [sum(shape or (1,)) for shape in shapes]
    sizes = [math.prod(shape) for shape in shapes]
    low, high = 0.0, float(max(sizes))
    for _ in range(200):
        factor = (low + high) / 2
        total = sum(min(size, factor * side) for size, side in zip(sizes, sums))
        low, high = (factor, high) if total < density * sum(sizes) else (low, factor)
    return [min(1.0, factor * side / size) for size, side in zip(sizes, sums)]


@given(SHAPES, st.floats(0, 0.999))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_erk_is_the_capped_and_redistributed_density(shapes, sparsity):
    params = _tree(shapes)
    sparsities = parameters.erk(params, dict.fromkeys(params, True), sparsity=sparsity)
    sparsities = [sparsities[name] for name in params]
    np.testing.assert_allclose(1 - np.array(sparsities), slow_erk(shapes, 1 - sparsity), atol=1e-9)
    sizes = np.array([math.prod(shape) for shape in shapes])
    assert (sizes * sparsities).sum() == pytest.approx(sparsity * sizes.sum(), abs=1e-6)
    assert all(0 <= s < 1 + 1e-12 for s in sparsities)


def test_erk_by_hand():
    # Kernels 3x3x4x8 (288, sum 18) and 10x10 (100, sum 20), density 1/4 of 388 = 97 kept:
    # factor 97 / 38, densities 97/38 * 18/288 and 97/38 * 20/100.
    params = _tree([(3, 3, 4, 8), (10, 10)])
    sparsities = parameters.erk(params, {"w0": True, "w1": True}, sparsity=0.75)
    assert sparsities["w0"] == pytest.approx(1 - 97 / 38 / 16)
    assert sparsities["w1"] == pytest.approx(1 - 97 / 38 / 5)


def test_leaves_that_are_not_eligible_are_none_and_count_for_nothing():
    params = _tree([(8, 8), (100, 100), (8, 8)])
    is_eligible = {"w0": True, "w1": False, "w2": True}
    for of_leaves in (parameters.uniform, parameters.erk):
        assert of_leaves(params, is_eligible, sparsity=0.5) == {"w0": 0.5, "w1": None, "w2": 0.5}


@given(st.integers(1, 2**31 - 1), st.floats(0, 1, exclude_max=True, width=32))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_counts_are_exact_for_any_size_and_the_same_static_and_traced(size, sparsity):
    static = parameters.num_masked_from_sparsity(size, sparsity)
    assert parameters.num_masked_from_sparsity(size, jnp.float32(sparsity)).item() == static
    assert abs(static - size * Fraction(sparsity)) <= Fraction(1, 2) + size * Fraction(1, 10**7)


def _halves_up(size, sparsity):
    return math.floor(size * Fraction(sparsity) + Fraction(1, 2))


def test_halves_of_every_decimal_of_two_places_go_up():
    for size in range(1, 41):
        for decimal in (f"0.{hundredths:02}" for hundredths in range(100)):
            count = parameters.num_masked_from_sparsity(size, float(decimal))
            assert count == _halves_up(size, decimal), (size, decimal)


@given(st.integers(1, 2**31 - 1), st.integers(0, 10**7 - 1))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_counts_of_decimals_are_exact_for_any_size_static_and_traced(size, places):
    decimal = f"0.{places:07}"
    expected = _halves_up(size, decimal)
    assert parameters.num_masked_from_sparsity(size, float(decimal)) == expected
    traced = parameters.num_masked_from_sparsity(size, jnp.float32(decimal))
    assert traced.item() == expected


@pytest.mark.parametrize(
    ("size", "sparsity", "count"),
    [(100, 0.9, 90), (10, 0.5, 5), (10, 0.25, 3), (10, 0.74, 7), (1, 0.4, 0), (1, 0.5, 1),
     (3, 0.0, 0), (5, 0.7, 4), (5, 0.3, 2), (5, 0.9, 5), (10, 0.15, 2), (10, 0.45, 5),
     (85_000_000, 0.75, 63_750_000), (2**31 - 1, 0.5, 2**30)],
)  # fmt: skip
def test_counts_by_hand(size, sparsity, count):
    assert parameters.num_masked_from_sparsity(size, sparsity) == count
    assert parameters.num_masked_from_sparsity(size, jnp.float32(sparsity)) == count


def test_traced_sparsities_out_of_range_are_clipped():
    count = jax.jit(lambda sparsity: parameters.num_masked_from_sparsity(9, sparsity))
    assert [int(count(jnp.float32(s))) for s in (-1, 0, 1, 7)] == [0, 0, 9, 9]


def test_cubic_follows_its_formula_between_its_ends():
    final = {"a": 0.9, "b": None, "c": 0.5}
    at = jax.jit(lambda step: parameters.cubic(step, sparsity=final, start_step=10, end_step=50))
    for step in (0, 10, 11, 30, 49, 50, 51, 10**6):
        p = min(max((step - 10) / 40, 0), 1)
        sparsities = at(jnp.int32(step))
        assert sparsities["b"] is None
        for name in "ac":
            expected = final[name] * (1 - (1 - p) ** 3)
            assert float(sparsities[name]) == pytest.approx(expected, abs=1e-6)
    assert at(jnp.int32(50))["a"] == np.float32(0.9)  # exactly, so that the counts are too
    assert at(jnp.int32(10))["a"] == 0
    assert at._cache_size() == 1
    steps = parameters.cubic(jnp.array([0, 10]), sparsity=0.5, start_step=-10, end_step=10)
    assert steps.tolist() == [0.4375, 0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: parameters.erk(p, {"w0": True}, sparsity=1.0),
            "sparsity 1.0 must be at least 0",
        ),
        (lambda p: parameters.uniform(p, {"w0": True}, sparsity=-0.1), "sparsity -0.1 must be"),
        (lambda p: parameters.num_masked_from_sparsity(9, 90), "sparsity 90 must be .* below 1"),
        (lambda p: parameters.num_masked_from_sparsity(9, math.nan), "sparsity nan must be"),
        (lambda p: parameters.num_masked_from_sparsity(2**31, 0.5), "2147483648 weights: the cut"),
        (
            lambda p: parameters.cubic(0, sparsity=0.5, start_step=5, end_step=5),
            "end_step 5 must come after start_step 5",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(_tree([(4, 4)]))
