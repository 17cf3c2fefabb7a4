"""Rules that hide, or keep, boxes of a grid of any rank: randomly placed, or sliding."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import check_number, per_axis
from maskjax.masking.core import grid_length
from maskjax.masking.grid_rules import every_axis, window_start
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key

MAX_TRIES = 10


@register("block", chooses=True)
def block(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    min_area: int = 16,
    max_aspect: int | float = 1 / 0.3,
) -> Float[Array, "L"]:
    """Hides boxes of random size, shape and place until the count is reached.

    Bao et al. 2022 (BEiT, algorithm 1) in the form of BEiT v2's sampler, whose count is exact:
    boxes are drawn as long as one of ten tries adds something and no more than what is missing;
    the rest is hidden at random. v1 stops short of the count instead.

    A try draws a volume uniformly from `min_area` to what is missing, the logarithm of the ratio of
    each two adjacent sides uniformly within that of `max_aspect`, rounds the sides, and takes only
    boxes strictly shorter than the grid along every axis. In 2-D this is BEiT's law. An axis of
    length 1 has no room for a shorter side and is left out.

    Args:
        key: drives the boxes and the noise.
        grid: positions along each axis. Where one axis is much shorter than the others few boxes
            fit, and a larger `max_aspect` helps.
        num_masked: positions that the boxes may cover.
        min_area: smallest volume of a box, in positions, at least 1.
        max_aspect: largest ratio of adjacent sides, at least 1.

    Returns:
        U[1, 2) inside a box, U[0, 1) elsewhere.

    Raises:
        ValueError: `min_area` or `max_aspect` below 1.

    Examples:
        >>> scores = block(jax.random.key(0), (14, 14), 75)
        >>> bool((scores >= 1).sum() <= 75)
        True
    """
    min_area = check_number("min_area", min_area)
    if min_area < 1:
        raise ValueError(f"min_area {min_area} must be at least 1 position; BEiT uses 16")
    max_aspect = check_number("max_aspect", max_aspect)
    if max_aspect < 1:
        raise ValueError(f"max_aspect {max_aspect} must be at least 1; BEiT uses 1 / 0.3")
    box_key, noise_key = jax.random.split(key)
    noise = jax.random.uniform(noise_key, (grid_length(grid),))
    axes = tuple(side for side in grid if side > 1)
    if not axes:
        return noise
    covered = _cover(box_key, axes, num_masked, min_area, math.log(max_aspect))
    return noise + covered.reshape(-1).astype(noise.dtype)


@register("inverse_block")
def inverse_block(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    min_area: int = 16,
    max_aspect: int | float = 1 / 0.3,
) -> Float[Array, "L"]:
    """Keeps boxes of random size, shape and place and hides the rest.

    The idea of Baevski et al. 2022 (data2vec 2.0, inverse block masking), which places squares of
    one size; here the kept positions are drawn exactly as `block` draws hidden ones.

    Args:
        key: drives the boxes and the noise.
        grid: positions along each axis.
        num_masked: all positions but these may be covered by kept boxes.
        min_area: smallest volume of a kept box, in positions, at least 1.
        max_aspect: largest ratio of adjacent sides, at least 1.

    Returns:
        U(-2, -1] inside a kept box, U(-1, 0] elsewhere.

    Raises:
        ValueError: `min_area` or `max_aspect` below 1.

    Examples:
        >>> scores = inverse_block(jax.random.key(0), (14, 14), 147)
        >>> bool((scores <= -1).sum() <= 196 - 147)
        True
    """
    num_kept = grid_length(grid) - num_masked
    return -block(key, grid, num_kept, min_area=min_area, max_aspect=max_aspect)


def _cover(
    key: Key[Array, ""],
    sides: tuple[int, ...],
    count: int | Int[Array, ""],
    min_area: int,
    max_log_aspect: float,
) -> Bool[Array, "*sides"]:
    """The union of accepted boxes: at most `count` positions.

    Try number i uses the uniforms of fold_in(key, i), in this order: volume, ratios, corner.
    """
    rank = len(sides)
    limits = np.array(sides)

    def unfinished(state):
        _, missing, _, num_failed = state
        return (missing > 0) & (num_failed < MAX_TRIES)

    def try_box(state):
        covered, missing, num_tries, num_failed = state
        draws = jax.random.uniform(jax.random.fold_in(key, num_tries), (2 * rank,))
        volume = min_area + draws[0] * (missing - min_area).astype(jnp.float32)
        log_ratios = (2 * draws[1:rank] - 1) * max_log_aspect
        shape = _box_shape(volume, log_ratios)
        room = (limits - shape + 1).astype(jnp.float32)
        corner = jnp.floor(draws[rank:] * room).astype(jnp.int32)
        box = every_axis(
            [
                (jnp.arange(side) >= corner[i]) & (jnp.arange(side) < corner[i] + shape[i])
                for i, side in enumerate(sides)
            ]
        )
        added = jnp.sum(box & ~covered, dtype=jnp.int32)
        is_taken = jnp.all(shape < limits) & (added > 0) & (added <= missing)
        return (
            covered | (box & is_taken),
            missing - jnp.where(is_taken, added, 0),
            num_tries + 1,
            jnp.where(is_taken, 0, num_failed + 1),
        )

    start = (jnp.zeros(sides, bool), jnp.asarray(count, jnp.int32), jnp.int32(0), jnp.int32(0))
    return jax.lax.while_loop(unfinished, try_box, start)[0]


def _box_shape(volume: Float[Array, ""], log_ratios: Float[Array, "_"]) -> Int[Array, "_"]:
    """Rounded sides with the given product, whose neighbours have the given log ratios."""
    # log(side_i) is, up to a constant, the sum of the ratios that lie after side i.
    log_sides = jnp.append(jnp.cumsum(log_ratios[::-1])[::-1], 0.0)
    log_sides = log_sides - log_sides.mean() + jnp.log(volume) / (log_ratios.size + 1)
    return jnp.round(jnp.exp(log_sides)).astype(jnp.int32)


@register("sliding_block", on=("image", "weights"))
def sliding_block(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    step: int | Int[Array, ""] | None = None,
    stride: int = 1,
    block: int | tuple[int, ...] | None = None,
) -> Float[Array, "L"]:
    """Hides one rectangle that moves over the grid and wraps around at its ends.

    The rectangle has the proportions of `block`, and its very sides where `num_masked` is their
    product; another count hides the smaller rectangle inside, or the larger one around, whose last
    layer is filled in raster order. Its first corner is `step * stride` in raster order, the same
    for all examples, or uniform from the key where there is no step: `sliding` moves a window in
    the order of positions instead.

    A position is hidden in the same share of the steps as any other where the corner visits all
    positions equally often, as it does in every L successive steps where `stride` and L have no
    common divisor.

    Args:
        key: draws the corner where step is None.
        grid: positions along each axis, such as the shape of a weight; at most 2^24 in all.
        num_masked: not used.
        step: training step.
        stride: positions that the corner moves in a step; the length of the last axis moves it by
            whole rows.
        block: sides of the rectangle, one for all axes or one per axis, at least 1; None for the
            proportions of the grid.

    Returns:
        Minus the place of each position in the order in which the rectangle grows.

    Raises:
        ValueError: a block below 1 or not one per axis, or too many positions.

    Examples:
        >>> scores = sliding_block(jax.random.key(0), (3, 4), 4, step=6, block=(2, 2))
        >>> (scores > -4).reshape(3, 4).astype(int).tolist()  # from row 1, column 2
        [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    sides = grid if block is None else per_axis("block", block, grid)
    start = window_start(key, grid, step, stride)
    # How many times `block` the smallest rectangle from the corner is that holds a position, times
    # the product of its sides to stay in whole numbers; a stable sort leaves each layer in order.
    volume = math.prod(sides)
    reach = [(i + 1) * (volume // side) for i, side in zip(np.indices(grid), sides)]
    rank = np.empty(math.prod(grid), np.float32)
    rank[np.argsort(np.max(reach, axis=0).reshape(-1), kind="stable")] = np.arange(rank.size)
    corner = jnp.stack(jnp.unravel_index(start, grid))
    return -jnp.roll(jnp.asarray(rank.reshape(grid)), corner, tuple(range(len(grid)))).reshape(-1)
