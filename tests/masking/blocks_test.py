"""Block rules against BEiT v2's sampler, written from its definition in plain Python."""

import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking

LOW, HIGH = math.log(0.3), math.log(1 / 0.3)


def _sides_2d(volume, draws):
    """BEiT: aspect log-uniform, h = sqrt(area * aspect), w = sqrt(area / aspect)."""
    aspect = math.exp(LOW + draws[0] * (HIGH - LOW))
    return round(math.sqrt(volume * aspect)), round(math.sqrt(volume / aspect))


def _sides_1d(volume, draws):
    return (round(volume),)


def _sides_3d(volume, draws):
    """The same for three sides: a / b and b / c log-uniform, a * b * c = volume."""
    ab, bc = (math.exp(LOW + u * (HIGH - LOW)) for u in draws)
    c = (volume / (ab * bc * bc)) ** (1 / 3)
    return round(ab * bc * c), round(bc * c), round(c)


SIDES = {1: _sides_1d, 2: _sides_2d, 3: _sides_3d}


def _cover(uniforms, grid, count, min_area):
    """The sampler's loop; uniforms() yields those of one try: volume, ratios, corner."""
    rank, covered, missing = len(grid), np.zeros(grid, bool), count
    while missing > 0:
        for _ in range(10):
            draws = uniforms()
            volume = min_area + draws[0] * (missing - min_area)
            sides = SIDES[rank](volume, draws[1:rank])
            if any(side >= limit for side, limit in zip(sides, grid)):
                continue
            corner = [
                math.floor(u * (limit - side + 1))
                for u, limit, side in zip(draws[rank:], grid, sides)
            ]
            box = tuple(slice(at, at + side) for at, side in zip(corner, sides))
            added = math.prod(sides) - covered[box].sum()
            if 0 < added <= missing:
                covered[box] = True
                missing -= added
                break
        else:
            break
    return covered


@functools.partial(jax.jit, static_argnums=1)
def _uniforms(key, shape):
    """The uniforms of the first 300 tries."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(300))
    return jax.vmap(lambda key: jax.random.uniform(key, shape))(keys)


def _replay(key, grid, count, min_area):
    """(covered, noise) from the uniforms that the rule under test draws from the key."""
    box_key, noise_key = jax.random.split(key)
    shape = (2 * len(grid),)
    tries = iter(np.asarray(_uniforms(box_key, shape), float))
    covered = _cover(lambda: next(tries), grid, count, min_area)
    return covered.reshape(-1), np.asarray(jax.random.uniform(noise_key, (covered.size,)))


CASES = [
    ((14, 14), 75, 16),
    ((14, 14), 147, 16),
    ((8, 12), 40, 4),
    ((20,), 11, 3),
    ((6, 5, 7), 100, 8),
    ((5, 5), 10, 16),  # min_area exceeds what is missing from the start
]


@pytest.mark.parametrize(("grid", "count", "min_area"), CASES)
def test_block_is_the_exact_count_sampler_of_beit_v2(grid, count, min_area):
    draw = jax.jit(lambda key: masking.block(key, grid, count, min_area=min_area))
    num_covered = 0
    for seed in range(5):
        key = jax.random.key(seed)
        covered, noise = _replay(key, grid, count, min_area)
        # v2 tops up at random positions outside the boxes: those with the highest noise.
        expected = covered.copy()
        outside = np.flatnonzero(~covered)
        highest = outside[np.argsort(noise[outside])][::-1]
        expected[highest[: count - covered.sum()]] = True
        drawn = masking.cut(draw(key), count).is_masked
        np.testing.assert_array_equal(drawn, expected)
        num_covered += covered.sum()
    assert num_covered > 2.5 * count  # the boxes, not the top-up, make the mask


@pytest.mark.parametrize(("grid", "count", "min_area"), CASES[1::2])
def test_inverse_block_keeps_what_block_would_hide(grid, count, min_area):
    length = math.prod(grid)
    draw = jax.jit(lambda key: masking.inverse_block(key, grid, count, min_area=min_area))
    for seed in range(3):
        key = jax.random.key(seed)
        covered, noise = _replay(key, grid, length - count, min_area)
        expected = covered.copy()
        outside = np.flatnonzero(~covered)
        highest = outside[np.argsort(noise[outside])][::-1]
        expected[highest[: length - count - covered.sum()]] = True
        drawn = masking.cut(draw(key), count)
        np.testing.assert_array_equal(~drawn.is_masked, expected)


def test_block_has_the_statistics_of_an_independent_sampler():
    # BEiT's own setting. Python's generator here, so no bit is shared with the rule.
    grid, count, num_draws = (14, 14), 75, 400
    random = np.random.RandomState(0)
    ours = jax.jit(jax.vmap(lambda key: masking.block(key, grid, count) >= 1))
    ours = np.asarray(ours(jax.random.split(jax.random.key(0), num_draws))).reshape(-1, *grid)
    theirs = np.stack([_cover(lambda: random.rand(4), grid, count, 16) for _ in range(num_draws)])

    def statistics(covered):
        inner = covered[:, 4:10, 4:10].mean(axis=(1, 2))
        edge = (covered[:, 0].mean(axis=1) + covered[:, -1].mean(axis=1)) / 2
        agree = (covered[:, 1:] == covered[:, :-1]).mean(axis=(1, 2))
        return np.stack([covered.sum(axis=(1, 2)), inner, edge, agree])

    a, b = statistics(ours), statistics(theirs)
    error = np.sqrt((a.var(axis=1) + b.var(axis=1)) / num_draws)
    assert (abs(a.mean(axis=1) - b.mean(axis=1)) < 4 * error).all()
    # The first and the last row and column are hidden, equally often.
    rows, columns = ours.mean(axis=(0, 2)), ours.mean(axis=(0, 1))
    sigma = math.sqrt(0.25 / num_draws)
    assert min(rows[0], rows[-1], columns[0], columns[-1]) > 0.1
    assert abs(rows - rows[::-1]).max() < 4 * sigma
    assert abs(columns - columns[::-1]).max() < 4 * sigma


def test_axes_of_length_one_do_not_stop_blocks():
    flat = masking.block(jax.random.key(1), (8, 8), 30, min_area=4)
    for grid in [(1, 8, 8), (8, 1, 8), (8, 8, 1)]:
        np.testing.assert_array_equal(masking.block(jax.random.key(1), grid, 30, min_area=4), flat)


# A rectangle that slides.

SHAPES = [
    ((6, 5), (2, 3), 1), ((6, 5), (4, 1), 5), ((6, 5), None, 7), ((6, 5), (9, 2), 1),
    ((7,), 3, 2), ((2, 3, 4), (1, 2, 2), 1),
]  # fmt: skip


@functools.cache
def _sliding(grid, block, stride):
    def draw(step, count):
        rule = masking.make_rule("sliding_block", block=block, stride=stride, step=step)
        return masking.cut_counts(rule(jax.random.key(0), grid, count), count)

    return jax.jit(draw)


def slow_rectangle(grid, block, corner, count):
    """Flags of the first `count` positions as the rectangle grows from the corner, wrapping."""
    sides = grid if block is None else (block,) * len(grid) if isinstance(block, int) else block

    def reach(at):  # how many blocks it takes to get there, and its place from the corner
        offset = [(i - c) % n for i, c, n in zip(at, corner, grid)]
        return max(Fraction(o + 1, side) for o, side in zip(offset, sides)), offset

    is_masked = np.zeros(grid, bool)
    for at in sorted(np.ndindex(grid), key=reach)[:count]:
        is_masked[at] = True
    return is_masked


@given(st.sampled_from(SHAPES), st.integers(0, 2**31 - 1), st.integers(0, 30))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_sliding_rectangle_grows_from_the_corner_that_the_step_gives(shape, step, count):
    grid, block, stride = shape
    length = math.prod(grid)
    corner = np.unravel_index(step * stride % length, grid)
    drawn = _sliding(*shape)(jnp.int32(step), jnp.int32(count)).reshape(grid)
    np.testing.assert_array_equal(drawn, slow_rectangle(grid, block, corner, min(count, length)))


@pytest.mark.parametrize(("height", "width"), [(2, 3), (4, 1)])
def test_a_sliding_rectangle_has_its_sides_at_its_area_and_comes_everywhere(height, width):
    grid = (6, 5)
    draw = _sliding(grid, (height, width), 1)
    hidden = np.stack([draw(step, height * width).reshape(grid) for step in range(30)])
    for step in range(30):
        top, left = divmod(step, grid[1])
        rows, columns = (top + np.arange(height)) % 6, (left + np.arange(width)) % 5
        assert hidden[step][np.ix_(rows, columns)].all()
        assert hidden[step].sum() == height * width
    assert (hidden.sum(axis=0) == height * width).all()  # each position as often as any other


@pytest.mark.parametrize("block", [0, (2, 0), (2,), (2, 2, 2)])
def test_a_sliding_rectangle_that_does_not_fit_is_refused(block):
    with pytest.raises(ValueError, match=r"for grid \(4, 4\): give one of at least 1, or one per"):
        masking.sliding_block(jax.random.key(0), (4, 4), 2, step=0, block=block)


def test_tries_grow_with_the_logarithm_of_the_number_of_positions(monkeypatch):
    loop, ends = jax.lax.while_loop, []
    monkeypatch.setattr(
        jax.lax, "while_loop", lambda *arguments: ends.append(loop(*arguments)) or ends[-1]
    )

    def mean_tries(side):
        def tries(key):
            masking.block(key, (side, side), side * side * 3 // 4)
            return ends[-1][2]

        return float(jax.jit(jax.vmap(tries))(jax.random.split(jax.random.key(0), 16)).mean())

    few, many = mean_tries(14), mean_tries(112)  # 64 times as many positions
    assert few < many < few * math.log(112**2) / math.log(14**2) * 2
