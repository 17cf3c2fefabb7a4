"""The rule that hides whole words or other units, and the runs of positions that they are."""

import jax
import jax.numpy as jnp

from maskjax.masking.checks import as_flags, as_integers, per_position
from maskjax.masking.core import grid_length
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key


@register("whole_word", on=("text",), chooses=True)
def whole_word(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    word_ids: Int[Array, "L"],
    log_weights: Float[Array, "L"] | None = None,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides whole words, or any other units: all positions of one or none.

    Devlin et al. 2019 (BERT, the whole-word models of the released code): words come in random
    order, one that would exceed the budget is skipped, and the next is tried. Cui et al. 2021
    (Whole Word Masking for Chinese BERT) and Levine et al. 2021 (PMI-Masking) are the same rule:
    give the ids of segmented words, or of collocations, as `word_ids`.

    The rule's own choice (`draw_chosen`) is whole words only and never more than the budget, but
    can be less. An exact count is filled from the words that were skipped, which splits at most
    one of them unless two words drew the same noise.

    With weights the order is that of `weighted`: the next word is drawn in proportion to its weight
    among those that are left, whatever its length.

    Args:
        key: draws the order of the words.
        grid: positions along each axis.
        num_masked: budget in positions; a traced one below 0 counts as 0.
        word_ids: a word is a run of positions with the same id; -1 is no word and never hidden,
            and so is None in a list, as tokenizers give it.
        log_weights: logarithm of each word's weight at its first position, up to a constant; -inf
            is never hidden. None: all weigh the same.
        is_candidate: False where a position must stay visible; it also ends a word.

    Returns:
        U[1, 2) in chosen words, U[0, 1) in others, one number for a word; -inf in none. With
        weights the numbers are places in the order over L, not uniform.

    Raises:
        ValueError: a count out of range, or ids or weights for another number of positions.

    Examples:
        >>> word_ids = jnp.array([-1, 0, 0, 0, 0, 1, 1, -1])
        >>> scores = whole_word(jax.random.key(0), (8,), 3, word_ids=word_ids)
        >>> (scores >= 1).astype(int).tolist()  # word 0 would exceed the budget of 3
        [0, 0, 0, 0, 0, 1, 1, 0]
    """
    length = grid_length(grid)
    ids = unit_ids(grid, word_ids, is_candidate)
    is_start = run_starts(ids)
    positions = jnp.arange(length, dtype=jnp.int32)
    first = run_firsts(is_start)
    next_start = jax.lax.cummin(jnp.where(is_start, positions, length), reverse=True)
    sizes = jnp.append(next_start[1:], length) - positions
    noise = jax.random.uniform(key, (length,))
    if log_weights is not None:
        log_weights = per_position("log_weights", log_weights, grid)[first]
        ids = jnp.where(log_weights > -jnp.inf, ids, -1)
        drawn = log_weights + jax.random.gumbel(key, (length,))
        noise = jnp.argsort(jnp.argsort(drawn)).astype(noise.dtype) / length
    order = jnp.argsort(-noise)
    sizes = jnp.where(is_start & (ids >= 0), sizes, 0)[order]
    is_taken = jnp.zeros(length, bool).at[order].set(_take_what_fits(sizes, num_masked))
    return jnp.where(ids >= 0, (noise + is_taken.astype(noise.dtype))[first], -jnp.inf)


def _take_what_fits(sizes: Int[Array, "L"], budget: int | Int[Array, ""]) -> Bool[Array, "L"]:
    """Takes sizes in turn where they fit into what is left of the budget; 0 is not taken.

    A round starts with at least a power of two left, the `unit`, and less than two of it. It takes
    smaller sizes as they come, up to the first size of at least the unit that fits, or to the one
    with which less than the unit is left. Either way less than the unit is left, so there are no
    more than log2(L) rounds of O(L), whatever the sizes; for words about as many as log2 of the
    largest, since all up to the first that does not fit are taken beforehand.
    """
    places = jnp.arange(sizes.size, dtype=jnp.int32)
    budget = jnp.clip(jnp.asarray(budget, jnp.int32), 0, sizes.size)

    def may_fit(state):
        _, left, start = state
        return (places >= start) & (sizes > 0) & (sizes <= left)

    def take(state):
        is_taken, left, start = state
        unit = 1 << (31 - jax.lax.clz(jnp.maximum(left, 1)))
        is_small = sizes < unit
        smaller = jnp.where(is_small & (places >= start), sizes, 0)
        after = left - jnp.cumsum(smaller, dtype=jnp.int32)
        is_end = (places >= start) & jnp.where(is_small, after < unit, sizes <= after)
        end = jnp.where(is_end.any(), jnp.argmax(is_end).astype(jnp.int32), sizes.size)
        new = (places >= start) & (is_small | (places == end)) & (places <= end) & (sizes > 0)
        return is_taken | new, left - _total(sizes, new), end + 1

    is_first = jnp.cumsum(sizes, dtype=jnp.int32) <= budget
    left = budget - _total(sizes, is_first)
    state = (is_first & (sizes > 0), left, jnp.sum(is_first, dtype=jnp.int32))
    return jax.lax.while_loop(lambda state: may_fit(state).any(), take, state)[0]


def _total(sizes: Int[Array, "L"], is_taken: Bool[Array, "L"]) -> Int[Array, ""]:
    return jnp.sum(jnp.where(is_taken, sizes, 0), dtype=jnp.int32)


def unit_ids(
    grid: tuple[int, ...],
    word_ids: Int[Array, "L"] | None,
    is_candidate: Bool[Array, "L"] | None,
) -> Int[Array, "L"]:
    """Ids whose runs are words, or single positions without word_ids; -1 where never hidden."""
    length = grid_length(grid)
    if word_ids is None:
        word_ids = jnp.arange(length, dtype=jnp.int32)
    word_ids = as_integers("word_ids", word_ids, none=-1)
    if word_ids.shape != (length,):
        raise ValueError(
            f"word_ids of shape {word_ids.shape} for {length} positions of grid {grid}"
        )
    return word_ids if is_candidate is None else jnp.where(is_candidate, word_ids, -1)


def run_starts(ids: Int[Array, "*b L"]) -> Bool[Array, "*b L"]:
    """True at the first position of each run of equal ids."""
    is_new = ids[..., 1:] != ids[..., :-1]
    return jnp.concatenate([jnp.ones_like(ids[..., :1], bool), is_new], axis=-1)


def run_firsts(is_start: Bool[Array, "*b L"]) -> Int[Array, "*b L"]:
    """For each position the first one of its run."""
    positions = jnp.arange(is_start.shape[-1], dtype=jnp.int32)
    return jax.lax.cummax(
        jnp.where(is_start, jnp.broadcast_to(positions, is_start.shape), 0), axis=is_start.ndim - 1
    )


def run_ids(is_masked: Bool[Array, "*b L"]) -> Int[Array, "*b L"]:
    """Numbers the runs of hidden positions of each row: the units of one draw for a span.

    Joshi et al. 2020 (SpanBERT, section 3.1) replace all tokens of a span alike; spans that touch
    or overlap are one there, and here.

    Args:
        is_masked: True = hidden.

    Returns:
        0, 1, ... in the first run, the second, ...; -1 where visible.

    Raises:
        ValueError: flags that are not boolean.

    Examples:
        >>> run_ids(jnp.array([False, True, True, False, True])).tolist()
        [-1, 0, 0, -1, 1]
    """
    is_masked = as_flags("is_masked", is_masked)
    if not is_masked.ndim:
        raise ValueError("is_masked is one flag: give one per position, [*b, L]")
    is_start = is_masked & run_starts(is_masked.astype(jnp.int32))
    return jnp.where(is_masked, jnp.cumsum(is_start, axis=-1, dtype=jnp.int32) - 1, -1)
