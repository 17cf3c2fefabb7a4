"""Masks for a batch with any rule: the rule scores each example, one cut hides the highest."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import (
    as_array,
    as_count,
    as_counts,
    as_flags,
    as_grid,
    as_integers,
    check_keys,
)
from maskjax.masking.core import Masking, Slots, cut, cut_chosen, cut_counts, cut_slots, grid_length
from maskjax.masking.registry import (
    Rule,
    check_rule,
    declared_choice,
    makes_choice,
    missing_options,
    name_of,
    options_of,
)
from maskjax.typing import Array, Bool, Float, Int, Key


def score(
    rule: Rule,
    keys: Key[Array, "B"],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, "B"],
    **runtime: Any,
) -> Float[Array, "B L"]:
    """The scores that a rule gives to a batch.

    Args:
        rule: from `make_rule`, or a plain scoring function.
        keys: one key per example (`example_keys`).
        grid: positions along each axis.
        num_masked: how many positions will be hidden, one count or one per example.
        **runtime: what the rule needs from outside: `step`, `log_weights`, `word_ids`. An array or
            list has one row per example; a number, name or tuple is the same for all. Every rule
            takes `is_candidate` [B L]: False where a position must stay visible (padding, [CLS]).
            None means all may be hidden.

    Returns:
        Scores, the higher, the sooner hidden.

    Raises:
        ValueError: what is no rule, key per example or grid; an argument that the rule lacks or
            does not know; rows that do not match; a ratio in place of a count, a static count
            outside 0 ... L, or counts that are not one per example; candidates that are not one
            flag per position; a rule whose scores are not one per position.

    Examples:
        >>> from maskjax.masking import make_rule
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> score(make_rule("random"), keys, (4, 4), 12).shape
        (2, 16)
    """
    name, options, grid = name_of(rule), options_of(rule), as_grid(grid)
    check_keys(keys)
    num_masked = _as_counts(num_masked, keys.shape[0], grid)
    if runtime.get("is_candidate", ...) is None:
        del runtime["is_candidate"]
    for option in missing_options(rule, runtime):
        raise ValueError(f"rule {name} needs {option}: pass {option}=... here or to make_rule")
    for option in runtime:
        if option not in {*options, "is_candidate"}:
            raise ValueError(f"rule {name} takes no {option!r}; it takes {sorted(options)}")
    rows, same = _of_rows(runtime, keys.shape[0], grid)

    def score_example(key, count, values):
        is_candidate = values.get("is_candidate")
        if is_candidate is not None and "is_candidate" not in options:
            values = {name: value for name, value in values.items() if name != "is_candidate"}
        scores = rule(key, grid, count, **same, **values)
        if np.shape(scores) != (grid_length(grid),):
            raise ValueError(
                f"rule {name} gives scores of shape {np.shape(scores)} for {grid_length(grid)} "
                f"positions of grid {grid}; give one each, in raster order"
            )
        return scores if is_candidate is None else jnp.where(is_candidate, scores, -jnp.inf)

    count_axis = 0 if np.ndim(num_masked) else None
    return jax.vmap(score_example, in_axes=(0, count_axis, 0))(keys, num_masked, rows)


def _as_counts(num_masked: Any, num_examples: int, grid: tuple[int, ...]) -> int | Array:
    """One count, or one per example."""
    num_masked = as_counts(num_masked, grid_length(grid))
    shape = np.shape(num_masked)
    if shape not in ((), (num_examples,)):
        raise ValueError(
            f"num_masked of shape {shape} for {num_examples} examples; give one count, or one per "
            "example"
        )
    return num_masked


def _of_rows(
    runtime: Mapping[str, Any], num_examples: int, grid: tuple[int, ...]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Tell what has a row an example from what is the same for all."""
    rows, same = {}, {}
    for option, value in runtime.items():
        if option == "is_candidate" or isinstance(value, list) or _has_rows(value):
            rows[option] = _as_rows(option, value, num_examples, grid)
        else:
            same[option] = value
    return rows, same


def _has_rows(value: Any) -> bool:
    return isinstance(value, np.ndarray | Array) and value.ndim > 0


def _as_rows(option: str, value: Any, num_examples: int, grid: tuple[int, ...]) -> Array:
    """One row per example; candidates of another shape would broadcast without a word."""
    if option == "is_candidate":
        value, expected = as_flags(option, value), (num_examples, grid_length(grid))
        if value.shape != expected:
            raise ValueError(
                f"is_candidate of shape {value.shape} for grid {grid}: give one flag per position "
                f"of each example, {expected}"
            )
        return value
    value = as_integers(option, value, none=-1) if option == "word_ids" else as_array(option, value)
    if (found := value.shape[0]) != num_examples:
        raise ValueError(
            f"{option} has {found} rows for {num_examples} examples; give one row per example"
        )
    return value


def draw(
    rule: Rule, keys: Key[Array, "B"], grid: tuple[int, ...], num_masked: int, **runtime: Any
) -> Masking:
    """Masks for a batch: the rule scores each example, and one cut hides the same count in each.

    Args:
        rule: from `make_rule`, or a plain scoring function.
        keys: one key per example (`example_keys`).
        grid: positions along each axis, L in all.
        num_masked: static, from 0 to L (`num_masked_from_ratio`).
        **runtime: as for `score`.

    Returns:
        The Masking of the batch.

    Raises:
        ValueError: as `score`, or a count that is traced or not the same in every row.

    Examples:
        >>> from maskjax.masking import make_rule
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> masking = draw(make_rule("block"), keys, (14, 14), 147)
        >>> masking.is_masked.sum(axis=1).tolist(), masking.ids_keep.shape
        ([147, 147], (2, 49))
    """
    num_masked = as_count(num_masked, grid_length(grid))
    return cut(score(rule, keys, grid, num_masked, **runtime), num_masked)


def draw_slots(
    rule: Rule,
    keys: Key[Array, "B"],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, "B"],
    min_num_masked: int,
    **runtime: Any,
) -> Slots:
    """Masks for a batch whose examples hide different, traced counts (a mask-ratio schedule).

    Args:
        rule: from `make_rule`, or a plain scoring function.
        keys: one key per example (`example_keys`).
        grid: positions along each axis, L in all.
        num_masked: how many positions each example hides (`Schedule.num_masked`), or one count.
        min_num_masked: the smallest count that can occur (`Schedule.min_num_masked`).
        **runtime: as for `score`.

    Returns:
        The Slots, K = L - min_num_masked of them in a row.

    Raises:
        ValueError: as `score` and `cut_slots`.

    Examples:
        >>> from maskjax.masking import make_rule
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> counts = jax.numpy.array([8, 12])
        >>> masking, is_visible = draw_slots(make_rule("random"), keys, (4, 4), counts, 8)
        >>> masking.is_masked.sum(axis=1).tolist(), is_visible.sum(axis=1).tolist()
        ([8, 12], [8, 4])
    """
    return cut_slots(score(rule, keys, grid, num_masked, **runtime), num_masked, min_num_masked)


def draw_counts(
    rule: Rule,
    keys: Key[Array, "B"],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, "B"],
    **runtime: Any,
) -> Bool[Array, "B L"]:
    """Flags for a batch whose rows hide different, traced counts (text of different lengths).

    Args:
        rule: from `make_rule`, or a plain scoring function.
        keys: one key per example (`example_keys`).
        grid: positions along each axis, L in all.
        num_masked: how many positions each example hides (`num_masked_from_lengths`), or one count.
        **runtime: as for `score`.

    Returns:
        True where a position is hidden: the count of each row, or all that the rule can hide
        where that is less.

    Raises:
        ValueError: as `score`.

    Examples:
        >>> from maskjax.masking import make_rule
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> is_candidate = jnp.arange(8)[None] < jnp.array([[8], [4]])
        >>> rule, counts = make_rule("random"), jnp.array([3, 1])
        >>> draw_counts(rule, keys, (8,), counts, is_candidate=is_candidate).sum(axis=1).tolist()
        [3, 1]
    """
    return cut_counts(score(rule, keys, grid, num_masked, **runtime), num_masked)


def draw_chosen(
    rule: Rule,
    keys: Key[Array, "B"],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, "B"],
    **runtime: Any,
) -> Bool[Array, "B L"]:
    """Flags for a batch: what the rule itself chose, with no trimming and no filling up.

    For rules whose published form does not hide an exact count: wav2vec 2.0's overlapping spans,
    whole words that must not be split, independent draws per token.

    Args:
        rule: one that `chooses`, or a plain scoring function that keeps to the bands of scores.
        keys: one key per example (`example_keys`).
        grid: positions along each axis, L in all.
        num_masked: the rule's budget; each rule says what it makes of it.
        **runtime: as for `score`.

    Returns:
        True where the score is at least 1.

    Raises:
        ValueError: as `score`, or a rule that chooses nothing by itself.

    Examples:
        >>> from maskjax.masking import make_rule
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> is_masked = draw_chosen(make_rule("block"), keys, (14, 14), 75)
        >>> bool((is_masked.sum(axis=1) <= 75).all())
        True
    """
    check_rule(rule)
    declared = declared_choice(rule)
    if declared is not None and not makes_choice(declared, rule, runtime):
        option = f" without {declared}" if declared else ""
        raise ValueError(
            f"rule {name_of(rule)} chooses nothing by itself{option}: use draw or draw_counts, "
            "whose count is exact"
        )
    return cut_chosen(score(rule, keys, grid, num_masked, **runtime))
