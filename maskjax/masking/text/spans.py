"""Rules that hide spans of text: SpanBERT's, which may touch, and T5's, which may not."""

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import check_number, check_whole
from maskjax.masking.core import cut_counts, grid_length
from maskjax.masking.registry import register
from maskjax.masking.text.counts import num_spans
from maskjax.masking.text.words import run_starts, unit_ids
from maskjax.typing import Array, Bool, Float, Int, Key


@register("spans", on=("text", "audio", "sequence"), chooses=True)
def spans(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    p: int | float = 0.2,
    max_span_length: int = 10,
    word_ids: Int[Array, "L"] | None = None,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides spans of words with geometric lengths, until the budget is spent.

    Joshi et al. 2020 (SpanBERT, section 3.1), in the form of the released sampler. A visible token
    is drawn uniformly, so a word in proportion to its tokens; from the start of its word on, a
    number of whole words is hidden that is geometric, truncated to `max_span_length` and
    renormalised (mean 3.8 for the published .2 and 10). The last span is cut at the budget, within
    a word if need be, so the count is exact. `spanbert_num_masked` gives the published budget.

    A span may run into an earlier one; it ends where the text does, or at a position that may not
    be hidden. As spans are placed by their start, the first words are hidden less often.

    Args:
        key: draws the order of the tokens and the lengths.
        grid: positions along each axis, in raster order one text.
        num_masked: the budget in positions; the order of hiding does not depend on it.
        p: parameter of the geometric law, in (0, 1].
        max_span_length: longest span, in words, at least 1.
        word_ids: a word is a run of positions with the same id, and -1 is no word and never
            hidden; None makes each position a word.
        is_candidate: False where a position must stay visible; it also ends a word.

    Returns:
        1 + the place in the order of hiding, scaled to [0, 1), for what is hidden; that place alone
        for the rest, so that another count continues the same process; -inf for no word.

    Raises:
        ValueError: a count, p or length out of range, or ids for another number of positions.

    Examples:
        >>> word_ids = jnp.array([-1, 0, 0, 1, 1, 2, 2, -1])
        >>> scores = spans(jax.random.key(0), (8,), 2, word_ids=word_ids)
        >>> is_masked = scores >= 1
        >>> int(is_masked.sum()), len(set(word_ids[is_masked].tolist()))
        (2, 1)
    """
    length = grid_length(grid)
    p = check_number("p", p)
    if not 0 < p <= 1:
        raise ValueError(f"p {p} must lie in (0, 1]; SpanBERT uses 0.2")
    check_whole("max_span_length", max_span_length, hint=" word")
    ids = unit_ids(grid, word_ids, is_candidate)
    order_key, length_key = jax.random.split(key)
    turn = jax.random.permutation(order_key, length)
    # Words by number, in text order; runs that are no words, and unused numbers, have turn -1.
    word = jnp.cumsum(run_starts(ids), dtype=jnp.int32) - 1
    turn = jax.ops.segment_max(
        jnp.where(ids >= 0, turn, -1), word, num_segments=length, indices_are_sorted=True
    )
    numbers = jnp.arange(length, dtype=turn.dtype)
    drawn = jax.random.uniform(length_key, (length,))
    ends = numbers + _geometric_lengths(drawn, p, max_span_length).astype(turn.dtype)
    ends = jnp.minimum(ends, jax.lax.cummin(jnp.where(turn >= 0, length, numbers), reverse=True))
    turn = _turn_of_hiding(turn, ends, min(max_span_length, length))[word]
    place = jnp.argsort(jnp.argsort(-turn, stable=True))
    scores = (length - 1 - place) / length + (place < num_masked).astype(jnp.float32)
    return jnp.where(ids >= 0, scores, -jnp.inf)


def _geometric_lengths(
    drawn: Float[Array, "L"], p: int | float, max_length: int
) -> Int[Array, "L"]:
    """Lengths from 1 to max_length by inversion of P(n) ~ p (1 - p)^(n - 1)."""
    shares = p * (1 - p) ** np.arange(max_length)
    return 1 + jnp.searchsorted(jnp.asarray((shares / shares.sum()).cumsum()[:-1]), drawn, "right")


def _turn_of_hiding(
    turn: Int[Array, "L"], ends: Int[Array, "L"], max_length: int
) -> Int[Array, "L"]:
    """The turn of the span that hides each word first; higher turns come earlier.

    A word starts a span unless an earlier span hides it first. Each round settles every word whose
    earlier rivals are settled, so random turns take O(log L) rounds instead of one a span.
    """

    def look_back(values, fill):
        """[d, L]: the value of the word that lies d words back."""
        padded = jnp.concatenate([jnp.full(max_length, fill, values.dtype), values])
        backs = range(max_length, 0, -1)
        return jnp.stack([padded[back : back + turn.size] for back in backs])

    turns = look_back(turn, -1)
    reaches = (turns >= 0) & (look_back(ends, 0) > jnp.arange(turn.size)[None])
    is_rival = reaches & (turns > turn[None])

    def settle(state):
        starts, is_settled = state
        is_lost = (is_rival & look_back(starts, False)).any(axis=0)
        is_open = (is_rival & ~look_back(is_settled, False)).any(axis=0)
        return ~is_lost & ~is_open, is_lost | ~is_open

    nothing = jnp.zeros(turn.shape, bool)
    starts, _ = jax.lax.while_loop(lambda state: ~state[1].all(), settle, (nothing, nothing))
    return jnp.where(reaches & look_back(starts, False), turns, -1).max(axis=0)


@register("t5_spans", on=("text", "audio", "sequence"), chooses=True)
def t5_spans(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    mean_span_length: int | float = 3.0,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides an exact count in an exact number of spans that do not touch.

    Raffel et al. 2020 (T5, section 3.1.4 and the released `random_spans_noise_mask`): n hidden
    positions in max(1, round(n / mean_span_length)) spans, no more than there are visible
    positions; all masks that begin with a visible and end with a hidden position are equally
    likely. So the first position is hidden only where all are, and the last one always.

    Args:
        key: draws the lengths of the spans and of the gaps.
        grid: positions along each axis, in raster order one text.
        num_masked: n; more than there are candidates hides them all, as one span. `t5_num_masked`
            gives T5's own.
        mean_span_length: at least 1.
        is_candidate: False where a position must stay visible. Candidates in one run (padding, or
            [CLS], outside of it) get the law above; what lies between candidates interrupts spans.

    Returns:
        U[1, 2) for what is hidden, U[0, 1) for the rest, -inf for what may not be hidden.

    Raises:
        ValueError: a count out of range, or a mean below 1.

    Examples:
        >>> scores = t5_spans(jax.random.key(0), (4,), 2, mean_span_length=1)
        >>> (scores >= 1).astype(int).tolist()
        [0, 1, 0, 1]
    """
    length = grid_length(grid)
    # Python's floats round the halves; a float32 division would not always find them.
    table = jnp.array([num_spans(n, mean_span_length) for n in range(length + 1)], dtype=jnp.int32)
    if is_candidate is None:
        is_candidate = jnp.ones(length, bool)
    num_candidates = is_candidate.sum(dtype=jnp.int32)
    num_masked = jnp.clip(jnp.asarray(num_masked, jnp.int32), 0, num_candidates)
    num_visible = num_candidates - num_masked
    num_cuts = jnp.minimum(table[num_masked], num_visible) - 1
    # The visible candidates, the hidden ones, the rest: random cuts make segments of the first two.
    items = jnp.arange(length, dtype=jnp.int32)
    is_hidden = (items >= num_visible) & (items < num_candidates)
    is_inner = (
        jnp.stack([items < num_visible, is_hidden & (items > num_visible)]) & (items > 0)[None]
    )
    cut_key, noise_key = jax.random.split(key)
    noise = jnp.where(is_inner, jax.random.uniform(cut_key, (2, length)), -jnp.inf)
    segments = jnp.cumsum(cut_counts(noise, jnp.stack([num_cuts] * 2)), axis=1, dtype=jnp.int32)
    # In turn: visible segment 0, hidden segment 0, visible segment 1 ... hidden ones are odd.
    places = jnp.where(is_hidden, 2 * segments[1] + 1, 2 * segments[0])
    places = jnp.sort(jnp.where(items < num_candidates, places, 2 * length))
    is_masked = (places % 2 == 1)[jnp.cumsum(is_candidate, dtype=jnp.int32) - 1]
    scores = jax.random.uniform(noise_key, (length,)) + is_masked.astype(jnp.float32)
    return jnp.where(is_candidate, scores, -jnp.inf)
