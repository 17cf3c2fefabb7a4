"""I-JEPA's masks: several target blocks to predict from one large context block."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import as_grid, check_key, check_whole
from maskjax.masking.core import cut_counts, grid_length
from maskjax.masking.grid_rules import every_axis
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key

WIDER = 1 + 1e-4
Range = Sequence[int | float]


class ContextTargets(NamedTuple):
    """What the encoder sees and what is predicted from it, as flags and as padded index lists.

    Attributes:
        is_context: True where the encoder sees a position.
        is_target: True inside each target block.
        ids_context: the context's positions in raster order, then padding.
        is_valid_context: False for padding.
        ids_target: each target's positions in raster order, then padding.
        is_valid_target: False for padding; the same for all targets of an example.
    """

    is_context: Bool[Array, "*b L"]
    is_target: Bool[Array, "*b targets L"]
    ids_context: Int[Array, "*b K"]
    is_valid_context: Bool[Array, "*b K"]
    ids_target: Int[Array, "*b targets slots"]
    is_valid_target: Bool[Array, "*b targets slots"]


@register("multi_block", chooses=True)
def multi_block(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    num_targets: int = 4,
    target_scale: Range = (0.15, 0.2),
    target_aspect: Range = (0.75, 1.5),
    context_scale: Range = (0.85, 1.0),
) -> Float[Array, "L"]:
    """Hides several large blocks of one size, then what lies outside the context block.

    Assran et al. 2023 (I-JEPA, section 3 and appendix A), with the blocks of `context_and_targets`.
    To predict each block by itself, as the paper does, use that function; this rule gives one mask
    with an exact count. Its own choice (`draw_chosen`) is the union of the targets.

    Args:
        key: drives the blocks and the noise.
        grid: positions along each axis.
        num_masked: not used.
        num_targets: number of blocks, at least 1; they may overlap.
        target_scale: range of a block's share of all positions, within (0, 1].
        target_aspect: range of the ratio of adjacent sides, the first over the second; above 0.
        context_scale: range of the context block's share of all positions, within (0, 1].

    Returns:
        U[1, 2) inside a target, U[0.5, 1) outside the context block, U[0, 0.5) elsewhere.

    Raises:
        ValueError: no target, or a range out of order or out of bounds.

    Examples:
        >>> scores = multi_block(jax.random.key(0), (14, 14), 147)
        >>> bool(29 <= (scores >= 1).sum() <= 4 * 42)
        True
    """
    _check(num_targets, target_scale, target_aspect, context_scale)
    box_key, noise_key = jax.random.split(key)
    is_target, is_inside = _boxes(
        box_key, box_key, grid, num_targets, target_scale, target_aspect, context_scale
    )
    noise = jax.random.uniform(noise_key, (grid_length(grid),))
    return jnp.where(is_target.any(axis=0), 1 + noise, jnp.where(is_inside, 0.0, 0.5) + noise / 2)


def context_and_targets(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    *,
    size_key: Key[Array, ""] | None = None,
    num_targets: int = 4,
    target_scale: Range = (0.15, 0.2),
    target_aspect: Range = (0.75, 1.5),
    context_scale: Range = (0.85, 1.0),
    num_context: int | None = None,
) -> ContextTargets:
    """The context and the targets of one example, in static shapes.

    Assran et al. 2023 (I-JEPA, section 3 and appendix A): the targets of an example share one size
    and lie anywhere, overlaps allowed; the context is a block of unit aspect less all targets. Give
    all examples of a batch one `size_key` and they share the sizes too, as published.

    Differences from the published sampler: blocks reach every row and column (there the last row
    and column are never part of any block, and the context block always lies at the upper left);
    scale and aspect are drawn independently (there from one number); where positions exceed the
    slots, random ones are left out (there the last in raster order); a context is never drawn
    again. It is empty only where the targets cover the whole context block, which
    `num_targets * target_scale[1]` well below `context_scale[0]` excludes. Where a side would
    exceed the grid, the other sides grow (there the block shrinks).

    Args:
        key: places the blocks; vmap over one key per example.
        grid: positions along each axis; those of length 1 are left out of the blocks' shapes.
        size_key: draws the blocks' sizes; None = `key`, so that examples differ in size.
        num_targets: at least 1.
        target_scale: range of a target's share of all positions, within (0, 1].
        target_aspect: range of the ratio of adjacent sides, the first over the second; above 0.
        context_scale: range of the context block's share of all positions, within (0, 1].
        num_context: K, slots for the context, from 1 to L; None = as many as it can ever need.

    Returns:
        The flags, and the ids with as many slots S a target as the largest possible one needs.

    Raises:
        ValueError: what is no typed key or no grid, no target, a range out of order or out of
            bounds, or slots outside 1 ... L.

    Examples:
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> split = lambda key: context_and_targets(key, (14, 14), size_key=jax.random.key(1))
        >>> drawn = jax.vmap(split)(keys)
        >>> drawn.ids_context.shape, drawn.ids_target.shape
        ((2, 172), (2, 4, 42))
        >>> bool((drawn.is_context & drawn.is_target.any(axis=1)).any())
        False
    """
    _check(num_targets, target_scale, target_aspect, context_scale)
    grid = as_grid(grid)
    check_key(key)
    if size_key is not None:
        check_key(size_key, "size_key")
    length = grid_length(grid)
    smallest, largest = _volume_bounds(_long_axes(grid), target_scale, target_aspect)
    if num_context is None:
        num_context = max(1, length - smallest)
    check_whole("num_context", num_context, least=None)
    if not 1 <= num_context <= length:
        raise ValueError(f"num_context {num_context} must be from 1 to the {length} positions")
    box_key, noise_key = jax.random.split(key)
    is_target, is_inside = _boxes(
        box_key,
        box_key if size_key is None else size_key,
        grid,
        num_targets,
        target_scale,
        target_aspect,
        context_scale,
    )
    noise = jnp.where(
        is_inside & ~is_target.any(axis=0), jax.random.uniform(noise_key, (length,)), -jnp.inf
    )
    is_context = cut_counts(noise, jnp.int32(num_context))
    ids_context, is_valid_context = _slots(is_context, num_context)
    ids_target, is_valid_target = _slots(is_target, largest)
    return ContextTargets(
        is_context, is_target, ids_context, is_valid_context, ids_target, is_valid_target
    )


def _check(num_targets: int, target_scale: Range, target_aspect: Range, context_scale: Range):
    check_whole("num_targets", num_targets, hint="; I-JEPA uses 4")
    ranges = {"target_scale": target_scale, "target_aspect": target_aspect}
    for name, bounds in {**ranges, "context_scale": context_scale}.items():
        if np.shape(bounds) != (2,):
            raise ValueError(f"{name} {bounds}: give a range, two numbers such as {0.75, 1.5}")
    for name, (low, high) in {"target": target_scale, "context": context_scale}.items():
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"{name}_scale ({low}, {high}): give two shares in order, above 0 and at most 1"
            )
    low, high = target_aspect
    if not 0 < low <= high < math.inf:
        raise ValueError(f"target_aspect ({low}, {high}): give two ratios in order, above 0")


def _long_axes(grid: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in grid if side > 1) or (1,)


def _boxes(
    key: Key[Array, ""],
    size_key: Key[Array, ""],
    grid: tuple[int, ...],
    num_targets: int,
    target_scale: Range,
    target_aspect: Range,
    context_scale: Range,
) -> tuple[Bool[Array, "targets L"], Bool[Array, "L"]]:
    """Inside which target, and whether inside the context block."""
    axes = _long_axes(grid)
    corners = jax.random.uniform(jax.random.fold_in(key, 1), (num_targets + 1, len(axes)))
    draws = jax.random.uniform(jax.random.fold_in(size_key, 0), (2, len(axes)))
    target_shape = _sides(draws[0], axes, target_scale, target_aspect)
    context_shape = _sides(draws[1], axes, context_scale, (1, 1))
    is_target = jax.vmap(lambda corner: _box(corner, target_shape, axes))(corners[:-1])
    return is_target, _box(corners[-1], context_shape, axes)


def _sides(
    draws: Float[Array, "_"], axes: tuple[int, ...], scale: Range, aspect: Range
) -> Int[Array, "_"]:
    """Sides of a block: uniform volume, uniform ratios of adjacent sides."""
    volume = jnp.floor(math.prod(axes) * (scale[0] + draws[0] * (scale[1] - scale[0])))
    log_ratios = jnp.log(aspect[0] + draws[1:] * (aspect[1] - aspect[0]))
    # log(side_i) is, up to a constant, the sum of the ratios that lie after side i.
    log_sides = jnp.append(jnp.cumsum(log_ratios[::-1])[::-1], 0.0)
    log_sides += jnp.log(jnp.maximum(volume, 1)) / len(axes) - log_sides.mean()
    limits = jnp.log(jnp.array(axes))
    for _ in axes:  # where a side exceeds the grid the others grow, and the volume stays
        excess = jnp.maximum(log_sides - limits, 0).sum()
        is_free = log_sides < limits
        num_free = jnp.maximum(is_free.sum(), 1).astype(jnp.float32)
        log_sides = jnp.minimum(log_sides, limits) + is_free.astype(jnp.float32) * excess / num_free
    return jnp.clip(jnp.round(jnp.exp(log_sides)).astype(jnp.int32), 1, jnp.array(axes))


def _box(
    corner: Float[Array, "_"], sides: Int[Array, "_"], axes: tuple[int, ...]
) -> Bool[Array, "L"]:
    """Flags of a block; corner in [0, 1) spreads evenly over all places where it fits."""
    room = (np.array(axes) - sides + 1).astype(jnp.float32)
    first = jnp.floor(corner * room).astype(jnp.int32)
    flags = [
        (jnp.arange(side) >= first[i]) & (jnp.arange(side) < first[i] + sides[i])
        for i, side in enumerate(axes)
    ]
    return every_axis(flags).reshape(-1)


def _volume_bounds(axes: tuple[int, ...], scale: Range, aspect: Range) -> tuple[int, int]:
    """Static bounds of the positions in a block: over all integer sides that can be rounded to."""
    sides = np.indices(axes).reshape(len(axes), -1) + 1
    is_full = sides == np.array(axes)[:, None]
    low = np.where(sides == 1, 0, sides - 0.5)
    high = np.where(is_full, sides, sides + 0.5)
    # A little wider than exact, for the sides are drawn in float32.
    smallest, largest = (
        max(1, math.floor(math.prod(axes) * share))
        for share in (scale[0] / WIDER, scale[1] * WIDER)
    )
    is_reached = (low.prod(axis=0) <= largest * WIDER) & (high.prod(axis=0) >= smallest / WIDER)
    # Sides that the grid does not bound keep their ratio.
    with np.errstate(divide="ignore"):
        is_near = (low[:-1] / high[1:] <= aspect[1] * WIDER) & (
            high[:-1] / low[1:] >= aspect[0] / WIDER
        )
    is_reached &= (is_near | is_full[:-1] | is_full[1:]).all(axis=0)
    reached = sides.prod(axis=0)[is_reached]
    return int(reached.min()), int(reached.max())


def _slots(
    flags: Bool[Array, "*b L"], num_slots: int
) -> tuple[Int[Array, "*b slots"], Bool[Array, "*b slots"]]:
    """The flagged positions in raster order, padded with others; and which slots hold one."""
    ids = jnp.argsort(~flags, axis=-1, stable=True)[..., :num_slots]
    count = flags.sum(axis=-1, keepdims=True)
    return ids, jax.lax.broadcasted_iota(jnp.int32, ids.shape, ids.ndim - 1) < count
