"""Rules of image models: coarse cells, attention from a teacher, blocks with a context."""

import jax
import jax.numpy as jnp

from maskjax.masking.checks import check_number, per_axis, per_position
from maskjax.masking.core import grid_length
from maskjax.masking.multi_block import ContextTargets, context_and_targets, multi_block
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key

__all__ = [
    "ContextTargets", "attention_guided", "context_and_targets", "hierarchical", "multi_block",
]  # fmt: skip


@register("hierarchical", chooses=True)
def hierarchical(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    coarse: int | tuple[int, ...] = 2,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides whole cells of a coarser grid, drawn uniformly.

    Xie et al. 2022 (SimMIM, section 3.2): patches of 32 pixels hidden under a model whose own are
    smaller; at 224 pixels and ratio 0.6 ceil(0.6 * 49) = 30 of 49 cells. As many cells are chosen
    as it takes to reach `num_masked`: `draw_chosen` hides them whole, with SimMIM's rounding up;
    an exact count splits at most the last of them, at random.

    Args:
        key: draws the order of the cells and that within the last one.
        grid: positions along each axis.
        num_masked: positions that the chosen cells must reach; a multiple of a cell's positions
            splits none.
        coarse: positions along each side of a cell, for all axes or one per axis, at least 1;
            cells at the far ends are smaller where they do not divide the grid.
        is_candidate: False where a position must stay visible; it does not count.

    Returns:
        U[1.5, 2) in the chosen cells but the last, U[1, 1.5) in that, U[0, 1) elsewhere.

    Raises:
        ValueError: a cell's side below 1, or not one per axis.

    Examples:
        >>> scores = hierarchical(jax.random.key(0), (14, 14), 118)
        >>> (scores >= 1).sum().item()  # 30 cells of 4 patches
        120
    """
    sides = per_axis("coarse", coarse, grid)
    length = grid_length(grid)
    cells = tuple(-(-side // cell) for side, cell in zip(grid, sides))
    order_key, noise_key = jax.random.split(key)
    if is_candidate is None:
        is_candidate = jnp.ones(length, bool)
    order = jax.random.permutation(order_key, grid_length(cells))
    counts = _cell_sums(is_candidate.reshape(grid), sides)[order]
    before = jnp.cumsum(counts) - counts
    # In the order of the draw: 0 not chosen, 1 the cell that reaches the count, 2 before it.
    is_before = before + counts < num_masked
    level = jnp.where(before < num_masked, 1.0 + is_before.astype(jnp.float32), 0.0)
    level = jnp.zeros(len(counts)).at[order].set(level, unique_indices=True)
    level = _spread(level.reshape(cells), sides, grid)
    noise = jax.random.uniform(noise_key, (length,))
    scores = jnp.where(level == 0, noise, 0.5 + level / 2 + noise / 2)
    return jnp.where(is_candidate, scores, -jnp.inf)


def _cell_sums(flags: Bool[Array, "*grid"], sides: tuple[int, ...]) -> Int[Array, "cells"]:
    """How many flags each coarse cell holds."""
    padded = jnp.pad(flags, [(0, -n % side) for n, side in zip(flags.shape, sides)])
    split = [n for full, side in zip(padded.shape, sides) for n in (full // side, side)]
    return padded.reshape(split).sum(axis=tuple(range(1, len(split), 2)), dtype=jnp.int32).ravel()


def _spread(x: Array, sides: tuple[int, ...], grid: tuple[int, ...]) -> Float[Array, "L"]:
    """Each cell's value at all of its positions."""
    for axis, (side, n) in enumerate(zip(sides, grid)):
        x = jax.lax.slice_in_dim(jnp.repeat(x, side, axis=axis), 0, n, axis=axis)
    return x.reshape(-1)


@register("attention_guided", chooses=True)
def attention_guided(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    attention: Float[Array, "L"],
    show_ratio: int | float = 0.0,
    show_max: int | float = 0.1,
) -> Float[Array, "L"]:
    """Hides the positions that a teacher attends to most, but for a few hints.

    Kakogeorgiou et al. 2022 (AttMask, section 3.2): AttMask-High without hints, AttMask-Hint with
    them: `int(show_ratio * L)` positions stay visible, drawn uniformly from the `int(show_max * L)`
    most attended ones. As published a hint leaves one position fewer hidden (`draw_chosen`); with
    an exact count the next most attended position takes its place.

    Args:
        key: draws the hints, and the order of equally attended positions.
        grid: positions along each axis.
        num_masked: how many of the most attended positions are chosen, hints among them.
        attention: what each position receives, for example from the class token, averaged over
            heads; in any units, for only the order matters. -inf is never hidden.
        show_ratio: share of all positions that are shown as hints, from 0 to `show_max`.
        show_max: share of all positions, most attended first, that hints are drawn from, up to 1.

    Returns:
        By the rank of the attention: [1.5, 2) where chosen, [0.5, 1) elsewhere, [0, 0.5) for hints.

    Raises:
        ValueError: attention of another length, or shares out of order.

    Examples:
        >>> attention = jnp.array([0.1, 0.4, 0.2, 0.3])
        >>> attention_guided(jax.random.key(0), (2, 2), 2, attention=attention).tolist()
        [0.5, 1.875, 0.625, 1.75]
    """
    length = grid_length(grid)
    attention = per_position("attention", attention, grid)
    show_ratio = check_number("show_ratio", show_ratio)
    show_max = check_number("show_max", show_max)
    if not 0 <= show_ratio <= show_max <= 1:
        raise ValueError(
            f"show_ratio {show_ratio}, show_max {show_max}: give two shares in order, from 0 to 1"
        )
    tie_key, hint_key = jax.random.split(key)
    order = jnp.lexsort((jax.random.uniform(tie_key, (length,)), attention))
    rank = jnp.argsort(order)
    num_shown, num_top = int(show_ratio * length), int(show_max * length)
    # Among the top ranks each hint is one of a random permutation's first places.
    places = jnp.arange(length) < num_shown
    hints = jax.random.permutation(hint_key, places[:num_top])
    is_hint = jnp.concatenate([jnp.zeros(length - num_top, bool), hints])[rank]
    is_chosen = (rank >= length - num_masked) & ~is_hint
    scores = (
        rank.astype(jnp.float32) / (2 * length)
        + jnp.where(is_hint, 0, 0.5)
        + is_chosen.astype(jnp.float32)
    )
    return jnp.where(attention == -jnp.inf, -jnp.inf, scores)
