"""Histories of items: which to hide in training, which in a test, and windows of long ones.

Padding is told by `is_candidate` or `is_valid`, so that it may stand on either side.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.checks import (
    as_flags,
    as_integers,
    check_keys,
    check_number,
    check_rows,
    check_shapes,
    check_whole,
)
from maskjax.masking.core import cut_chosen, grid_length
from maskjax.masking.fill import fill_token
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key, Shaped


@register("cloze", on=("sequence",), chooses=True)
def cloze(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    probability: int | float = 0.2,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides each item with the same probability, and at least one.

    Sun et al. 2019 (BERT4Rec, section 3.6): a share rho of the items, .2 for MovieLens. An item of
    a history of n is hidden with probability rho + (1 - rho)^n / n. The authors' data preparation
    hides an exact count instead: `random` with `num_masked_from_lengths`.

    Args:
        key: drives the draws and the order within what is chosen and outside it.
        grid: (L,), or any other.
        num_masked: not used: `draw_chosen` hides the items drawn; `draw` and `draw_counts` trim
            them or fill up to their count, at random.
        probability: rho, in [0, 1].
        is_candidate: False for padding; a row of padding alone hides nothing.

    Returns:
        U[1, 2) where drawn, U[0, 1) elsewhere, -inf where not a candidate.

    Raises:
        ValueError: a probability outside [0, 1].

    Examples:
        >>> is_candidate = jnp.array([True, False, False, False])
        >>> cut_chosen(cloze(jax.random.key(0), (4,), 1, is_candidate=is_candidate)).tolist()
        [True, False, False, False]
    """
    probability = check_number("probability", probability)
    if not 0 <= probability <= 1:
        raise ValueError(f"probability {probability} must be from 0 to 1; BERT4Rec uses 0.2")
    draw_key, noise_key = jax.random.split(key)
    draws = jax.random.uniform(draw_key, (grid_length(grid),))
    if is_candidate is not None:
        draws = jnp.where(is_candidate, draws, jnp.inf)
    # Where no draw is below rho the smallest counts; where one is, the smallest is too.
    is_chosen = (draws < probability) | (jnp.arange(draws.size) == jnp.argmin(draws))
    scores = jax.random.uniform(noise_key, draws.shape) + is_chosen.astype(jnp.float32)
    return jnp.where(draws < jnp.inf, scores, -jnp.inf)


@register("mask_last", on=("sequence",), chooses=True)
def mask_last(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides the last `num_masked` real items: next-item prediction, and the test of BERT4Rec.

    Sun et al. 2019 (BERT4Rec, section 3.6).

    Args:
        key: not used: nothing is random.
        grid: (L,); raster order is time.
        num_masked: n, as it is; more than a row has hides all of it.
        is_candidate: False for padding, before the items or behind them.

    Returns:
        1 + place / L for the last n candidates, place / L for the others; -inf where not one.

    Raises:
        ValueError: a static count outside the grid.

    Examples:
        >>> is_candidate = jnp.array([False, True, True, True, False])
        >>> scores = mask_last(jax.random.key(0), (5,), 2, is_candidate=is_candidate)
        >>> cut_chosen(scores).astype(int).tolist()
        [0, 0, 1, 1, 0]
    """
    length = grid_length(grid)
    if is_candidate is None:
        is_candidate = jnp.ones(length, bool)
    is_item = is_candidate.astype(jnp.int32)
    num_behind = jnp.cumsum(is_item[::-1])[::-1] - is_item
    scores = jnp.arange(length) / length + (num_behind < num_masked).astype(jnp.float32)
    return jnp.where(is_candidate, scores, -jnp.inf)


class ClozeExamples(NamedTuple):
    """Training examples of each history, several of each.

    Attributes:
        inputs: the items, with the mask item where hidden.
        targets: the items.
        is_masked: True where hidden.
        loss_weights: 1 where hidden, 0 elsewhere: the loss is over these and no others.
    """

    inputs: Shaped[Array, "B examples L"]
    targets: Shaped[Array, "B examples L"]
    is_masked: Bool[Array, "B examples L"]
    loss_weights: Float[Array, "B examples L"]


def cloze_examples(
    items: Int[Array, "B L"],
    is_valid: Bool[Array, "B L"],
    keys: Key[Array, "B"],
    *,
    mask_token_id: int | Int[Array, ""],
    probability: int | float = 0.2,
    num_copies: int = 1,
) -> ClozeExamples:
    """Cloze examples of histories, and for each one more with only its last item hidden.

    Sun et al. 2019 (BERT4Rec, section 3.6), whose code has 10 copies. Hidden items always become
    the mask item. Inputs and loss weights come from the same flags: no item is hidden that gets no
    loss, and none gets a loss that the model sees.

    Args:
        items: histories.
        is_valid: False for padding, before the items or behind them.
        keys: one key per example.
        mask_token_id: the mask item, not the id of an item.
        probability: rho of `cloze`.
        num_copies: differently hidden copies of each history, at least 0.

    Returns:
        num_copies + 1 examples a history; the one with the last item hidden comes last.

    Raises:
        ValueError: a probability outside [0, 1], `num_copies` below 0, or flags or keys that do not
            match the items.

    Examples:
        >>> items, keys = jnp.array([[5, 6, 7, 0]]), jax.random.split(jax.random.key(0), 1)
        >>> examples = cloze_examples(items, items > 0, keys, mask_token_id=9, num_copies=0)
        >>> examples.inputs.tolist(), examples.loss_weights.tolist()
        ([[[5, 6, 9, 0]]], [[[0.0, 0.0, 1.0, 0.0]]])
    """
    check_whole("num_copies", num_copies, least=0, hint="; BERT4Rec uses 10")
    items, is_valid = _histories(items, is_valid)
    check_keys(keys, len(items))
    mask_token = as_integers("mask_token_id", mask_token_id)
    grid = items.shape[1:]

    def flags_of_row(key, is_real):
        def copy(number):
            copy_key = jax.random.fold_in(key, number)
            return cloze(copy_key, grid, 1, probability=probability, is_candidate=is_real)

        last = mask_last(key, grid, 1, is_candidate=is_real)[None]
        copies = jax.vmap(copy)(jnp.arange(num_copies))
        return cut_chosen(jnp.concatenate([copies, last]))

    is_masked = jax.vmap(flags_of_row)(keys, is_valid)
    targets = jnp.broadcast_to(items[:, None], is_masked.shape)
    inputs = jax.vmap(fill_token, in_axes=(0, 0, None))(targets, is_masked, mask_token)
    return ClozeExamples(inputs, targets, is_masked, is_masked.astype(jnp.float32))


def _histories(items: Array, is_valid: Array) -> tuple[Array, Array]:
    """Items and flags of a batch, one for the other."""
    items, is_valid = as_integers("items", items), as_flags("is_valid", is_valid)
    check_rows("items", items)
    check_shapes("items", items.shape, is_valid=is_valid)
    return items, is_valid


class HistoryWindows(NamedTuple):
    """Windows of histories, the newest first.

    Attributes:
        ids: the position in the history that each place of a window shows; 0 where it shows none.
        is_valid: True where a place of a window shows an item.
        starts: the first position of each window.
    """

    ids: Int[Array, "B windows places"]
    is_valid: Bool[Array, "B windows places"]
    starts: Int[Array, "B windows"]


def history_windows(is_valid: Bool[Array, "B L"], *, length: int, stride: int) -> HistoryWindows:
    """Windows of one length that slide over each history, from its end back to its start.

    Sun et al. 2019 (BERT4Rec, the authors' data preparation; their stride is half the length on
    MovieLens-1M). The newest window ends with the history, each earlier one starts `stride` before,
    and the oldest starts where the history does. `jnp.take_along_axis(items[:, None], windows.ids,
    axis=-1)` gives a window's items, times or ratings.

    Args:
        is_valid: False for padding; the real items of a row are consecutive.
        length: places of a window, at least 1.
        stride: positions between windows, from 1 to length, so that no item falls between two.

    Returns:
        1 + ceil((L - length) / stride) windows a row, or 1 where L <= length. A shorter history has
        fewer; the others are invalid everywhere. A history shorter than a window fills it from the
        left.

    Raises:
        ValueError: a length below 1 or a stride outside 1 ... length.

    Examples:
        >>> windows = history_windows(jnp.arange(7)[None] < 6, length=3, stride=2)
        >>> windows.ids.tolist(), windows.is_valid.any(axis=2).tolist()
        ([[[3, 4, 5], [1, 2, 3], [0, 1, 2]]], [[True, True, True]])
    """
    is_valid = as_flags("is_valid", is_valid)
    check_rows("is_valid", is_valid)
    check_whole("length", length)
    check_whole("stride", stride)
    if stride > length:
        raise ValueError(f"stride {stride} must be from 1 to the length {length}")
    num_windows = 1 + -(-max(is_valid.shape[1] - length, 0) // stride)
    num_items = is_valid.sum(axis=1, dtype=jnp.int32)[:, None]
    newest = jnp.maximum(num_items - length, 0)
    back = jnp.arange(num_windows, dtype=jnp.int32)[None] * stride
    # A window is there as long as the one before it did not reach the start of the history.
    is_there = (num_items > 0) & (back < newest + stride)
    starts = jnp.maximum(newest - back, 0)
    places = starts[..., None] + jnp.arange(length, dtype=jnp.int32)[None, None]
    shows = is_there[..., None] & (places < num_items[..., None])
    first = jnp.argmax(is_valid, axis=1).astype(jnp.int32)[:, None]
    return HistoryWindows(jnp.where(shows, places + first[..., None], 0), shows, starts + first)


class NextItem(NamedTuple):
    """Histories with a mask item where the next item would be.

    Attributes:
        inputs: the items and the mask item.
        is_valid: False for padding.
        is_masked: True for the mask item alone.
    """

    inputs: Int[Array, "B L"]
    is_valid: Bool[Array, "B L"]
    is_masked: Bool[Array, "B L"]


def append_mask_item(
    items: Int[Array, "B L"], is_valid: Bool[Array, "B L"], *, mask_token_id: int | Int[Array, ""]
) -> NextItem:
    """What a model is given to predict the next item: the history with a mask item at its end.

    Sun et al. 2019 (BERT4Rec, section 3.6, "test"). Behind the last item where there is room;
    otherwise, with padding before the items or none, all move one place to the left and the oldest
    item of a full row is dropped.

    Args:
        items: histories.
        is_valid: False for padding, before the items or behind them.
        mask_token_id: the mask item, not the id of an item.

    Returns:
        The NextItem.

    Raises:
        ValueError: flags that do not match the items, or what is no id.

    Examples:
        >>> items = jnp.array([[5, 6, 0], [0, 5, 6], [4, 5, 6]])
        >>> append_mask_item(items, items > 0, mask_token_id=9)[0].tolist()
        [[5, 6, 9], [5, 6, 9], [5, 6, 9]]
    """
    items, is_valid = _histories(items, is_valid)
    mask_token = as_integers("mask_token_id", mask_token_id)
    places = jnp.arange(items.shape[1])[None]
    end = jnp.where(is_valid, places + 1, 0).max(axis=1, keepdims=True)
    has_room = end < items.shape[1]
    is_masked = places == jnp.where(has_room, end, end - 1)
    moved = jnp.where(has_room, items, jnp.roll(items, -1, axis=1))
    was_valid = jnp.where(has_room, is_valid, jnp.roll(is_valid, -1, axis=1))
    inputs = fill_token(moved, is_masked, mask_token)
    return NextItem(inputs, was_valid | is_masked, is_masked)
