"""Score, then cut: the one function that turns scores into hidden positions, and its helpers."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.checks import (
    as_array,
    as_count,
    as_counts,
    as_grid,
    as_integers,
    check_key,
)
from maskjax.typing import Array, Bool, Float, Int, Key


class Masking(NamedTuple):
    """Which positions are hidden, as flags and as index lists.

    Attributes:
        is_masked: True where a position is hidden from the model.
        ids_keep: the K kept positions, lowest score first.
        ids_masked: the M dropped positions, lowest score first.
        ids_restore: for each position its place in the concatenation of ids_keep and ids_masked.
    """

    is_masked: Bool[Array, "*b L"]
    ids_keep: Int[Array, "*b K"]
    ids_masked: Int[Array, "*b M"]
    ids_restore: Int[Array, "*b L"]


class Slots(NamedTuple):
    """Rows that hide different counts, with static slots for an encoder of visible positions.

    Attributes:
        masking: `is_masked` by the row's own count; `ids_keep` lists the K slots, as many as a row
            of the smallest count keeps.
        is_visible: False for a slot whose position is hidden; the encoder must not attend to it.
    """

    masking: Masking
    is_visible: Bool[Array, "*b K"]


def grid_length(grid: tuple[int, ...]) -> int:
    """The number of positions of a grid.

    Args:
        grid: positions along each axis, raster order (the last axis runs fastest).

    Returns:
        The product of the sides.

    Raises:
        ValueError: the grid is one number, has no axis, or a side below 1.

    Examples:
        >>> grid_length((14, 14))
        196
    """
    return math.prod(as_grid(grid))


def cut(scores: Float[Array, "*b L"], num_masked: int) -> Masking:
    """Hides the `num_masked` highest scores of each row.

    The cut of He et al. 2022 (MAE, section 3): a stable ascending sort; the first K positions are
    kept, the rest dropped. Among equal scores the later position is hidden first.

    Args:
        scores: the higher, the sooner hidden; -inf is never hidden. NaN counts as the highest, here
            and in every cut.
        num_masked: M, static, from 0 to L; the same for every row.

    Returns:
        The Masking, with K = L - M. A row with fewer than M scores above -inf has fewer flags in
        `is_masked` than M: its other dropped positions are not seen, and not to be predicted.

    Raises:
        ValueError: `num_masked` outside 0 ... L, a ratio, traced, or not one for all rows.

    Examples:
        >>> masking = cut(jnp.array([0.3, 0.9, 0.1, 0.7]), 2)
        >>> masking.is_masked.astype(int).tolist(), masking.ids_keep.tolist()
        ([0, 1, 0, 1], [2, 0])
    """
    scores = _as_scores(scores)
    length = scores.shape[-1]
    num_masked = as_count(num_masked, length)
    num_kept = length - num_masked
    ids_shuffle = jnp.argsort(scores, axis=-1, stable=True)
    ids_restore = jnp.argsort(ids_shuffle, axis=-1)
    is_masked = (ids_restore >= num_kept) & (scores != -jnp.inf)
    return Masking(is_masked, ids_shuffle[..., :num_kept], ids_shuffle[..., num_kept:], ids_restore)


def cut_counts(
    scores: Float[Array, "*b L"], num_masked: int | Int[Array, ""] | Int[Array, "*b"]
) -> Bool[Array, "*b L"]:
    """Hides the highest scores of each row, with a count per row that may be traced.

    Args:
        scores: the higher, the sooner hidden; -inf is never hidden.
        num_masked: how many positions each row hides, or one count for all rows; more than a row
            can hide means all it can.

    Returns:
        True where a position is hidden.

    Raises:
        ValueError: ratios in place of counts, or counts that are not one per row.

    Examples:
        >>> scores = jnp.array([[0.3, 0.9, 0.1], [0.2, -jnp.inf, 0.5]])
        >>> cut_counts(scores, jnp.array([1, 3])).astype(int).tolist()
        [[0, 1, 0], [1, 0, 1]]
    """
    scores = _as_scores(scores)
    counts = jnp.asarray(as_counts(num_masked, scores.shape[-1], is_bounded=False))
    if counts.shape not in ((), scores.shape[:-1]):
        raise ValueError(
            f"num_masked of shape {counts.shape} for scores of shape {scores.shape}: give one "
            f"count, or one per row, {scores.shape[:-1]}"
        )
    counts = jnp.broadcast_to(counts, scores.shape[:-1])
    rank = jnp.argsort(jnp.argsort(scores, axis=-1, stable=True), axis=-1)
    num_kept = scores.shape[-1] - counts[..., None].astype(rank.dtype)
    return (rank >= num_kept) & (scores != -jnp.inf)


def _as_scores(scores: Array) -> Array:
    scores = as_array("scores", scores)
    if not scores.ndim:
        raise ValueError("scores are one number: give one per position, [*b, L]")
    return scores


def cut_chosen(scores: Float[Array, "*b L"]) -> Bool[Array, "*b L"]:
    """Hides exactly what the rule chose: the scores of 1 and above.

    Rules that choose positions themselves (boxes, spans, whole words, independent draws) give them
    scores in [1, 2), other positions [0, 1) and what must stay visible -inf. `cut` then trims or
    fills up to an exact count, at random; this cut does neither.

    Args:
        scores: of a rule that chooses.

    Returns:
        True where a position is hidden, NaN included.

    Examples:
        >>> cut_chosen(jnp.array([1.3, 0.9, -jnp.inf, 1.0])).astype(int).tolist()
        [1, 0, 0, 1]
    """
    scores = as_array("scores", scores)
    return (scores >= 1) | jnp.isnan(scores)


def cut_slots(
    scores: Float[Array, "*b L"],
    num_masked: int | Int[Array, ""] | Int[Array, "*b"],
    min_num_masked: int,
) -> Slots:
    """A traced count per row, with static slots for an encoder that runs on visible positions.

    `cut` at the smallest count that can occur gives K = L - min_num_masked slots; `cut_counts` at
    the row's own count says which of them are really visible. Visible slots come first.

    Args:
        scores: the higher, the sooner hidden; -inf is never hidden.
        num_masked: how many positions each row hides, or one count for all rows; raised to
            `min_num_masked` where below.
        min_num_masked: static, from 0 to L, for example `Schedule.min_num_masked`.

    Returns:
        The Slots.

    Raises:
        ValueError: `min_num_masked` outside 0 ... L or traced, or counts as `cut_counts` refuses.

    Examples:
        >>> scores = jnp.array([[0.3, 0.9, 0.1, 0.7], [0.8, 0.2, 0.4, 0.6]])
        >>> masking, is_visible = cut_slots(scores, jnp.array([1, 3]), 1)
        >>> masking.ids_keep.tolist()
        [[2, 0, 3], [1, 2, 3]]
        >>> is_visible.astype(int).tolist()
        [[1, 1, 1], [1, 0, 0]]
    """
    scores = _as_scores(scores)
    length = scores.shape[-1]
    masking = cut(scores, as_count(min_num_masked, length, name="min_num_masked"))
    counts = as_counts(num_masked, length, is_bounded=False)
    is_masked = cut_counts(scores, jnp.maximum(counts, min_num_masked))
    is_visible = ~jnp.take_along_axis(is_masked, masking.ids_keep, axis=-1)
    return Slots(masking._replace(is_masked=is_masked), is_visible)


def lowest(scores: Float[Array, "*b L"]) -> Int[Array, "*b"]:
    """The position of each row that every cut hides last: of equals the first, of NaN alone too."""
    return jnp.argmin(jnp.where(jnp.isnan(scores), jnp.inf, scores), axis=-1)


def example_keys(
    key: Key[Array, ""], step: int | Int[Array, ""], index: Int[Array, "B"]
) -> Key[Array, "B"]:
    """One key per example, a function of the root key, the step and the global example index.

    The index is the example's place in the global batch, never a device's: masks then do not
    change with the number of devices.

    Args:
        key: root key.
        step: training step.
        index: places of these examples in the global batch.

    Returns:
        A key for each example.

    Raises:
        ValueError: what is no typed key, step or place for each example.

    Examples:
        >>> keys = example_keys(jax.random.key(0), 3, jnp.arange(4))
        >>> halves = example_keys(jax.random.key(0), 3, jnp.array([2, 3]))
        >>> bool((keys[2:] == halves).all())
        True
    """
    check_key(key)
    index = as_integers("index", index)
    if index.ndim != 1:
        raise ValueError(
            f"index of shape {index.shape}: give the place of each example in the batch, "
            "jax.numpy.arange(batch_size)"
        )
    step_key = jax.random.fold_in(key, step if isinstance(step, int) else as_integers("step", step))
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(step_key, index)
