"""Rules that hide spans of consecutive frames."""

import math

import jax
import jax.numpy as jnp

from maskjax.masking.audio.common import real_along, scores_of_chosen, spread
from maskjax.masking.checks import check_whole
from maskjax.masking.core import cut_counts
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key


@register("wav2vec_spans", on=("audio",), chooses=True)
def wav2vec_spans(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    span_length: int = 10,
    min_spans: int = 0,
    hide_all: bool = False,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides spans of frames whose starts are drawn without replacement; they may overlap.

    Baevski et al. 2020 (wav2vec 2.0, section 3.1). Of T real frames, n = int(p T / l + U) start a
    span of l, with U ~ U[0, 1) drawn for each row. `num_masked` is the budget p T, which overlaps
    leave unspent: a share of about 1 - (1 - p / l)^l is covered, .49 at the paper's p = .65 and
    l = 10. HuBERT (Hsu et al. 2021, section IV-C) is this rule at p = .8: .57 is covered.

    Spans are whole where the row is longer than a span and has room for more whole spans than n: a
    start is any of the first T - l + 1 real frames, so that first and last frames are covered
    equally often. In shorter rows any frame starts a span, which ends with the row, as the paper
    has it everywhere. fairseq leaves out the last possible start, draws U once for all rows without
    padding, and trims rows to the least that one covers.

    Args:
        key: drives U, the starts and the order within the covered frames and outside them.
        grid: (T, ...); all positions of a frame are hidden together.
        num_masked: the budget, in positions. `draw_chosen` hides what the spans cover, as
            published; `draw` and `draw_counts` fill up to the budget, at random.
        span_length: l, in frames, at least 1.
        min_spans: smallest number of spans of a row, 0 in the paper, 2 in fairseq's training.
        hide_all: whether spans may cover a whole row, as in the paper; otherwise the last frame of
            such a row stays visible.
        is_candidate: False for padding; the real frames are consecutive. A budget above the number
            of candidates counts as that number, so that one for a batch suits its short rows.

    Returns:
        U[1, 2) inside a span, U[0, 1) elsewhere, -inf where not a candidate.

    Raises:
        ValueError: a static budget outside the grid, a `span_length` below 1, or negative
            `min_spans`.

    Examples:
        >>> scores = wav2vec_spans(jax.random.key(0), (40,), 5, span_length=5)
        >>> int((scores >= 1).sum())  # a budget of one span
        5
    """
    check_whole("span_length", span_length, hint=" frame")
    check_whole("min_spans", min_spans, least=0)
    count_key, start_key, noise_key = jax.random.split(key, 3)
    mean = _num_frames(num_masked, grid, is_candidate) / span_length
    num_spans = jnp.floor(mean + jax.random.uniform(count_key)).astype(jnp.int32)
    is_frame = real_along(is_candidate, grid, 0)
    covered = _cover(start_key, is_frame, jnp.maximum(num_spans, min_spans), span_length)
    if not hide_all:
        is_last = is_frame & (jnp.cumsum(is_frame) == is_frame.sum())
        covered &= ~(is_last & (covered == is_frame).all())
    return scores_of_chosen(noise_key, spread(covered, grid, 0), is_candidate)


@register("runs", on=("audio",), chooses=True)
def runs(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    run_length: int = 7,
    allow_overlap: bool = True,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides runs of consecutive frames, as many as the budget holds.

    Liu et al. 2020 (Mockingjay, section 2), whose budget is 15% of the frames in runs of C = 7:
    round(budget / C) starts without replacement. As in the authors' code runs may overlap unless
    told otherwise; unlike there, the last frame can be hidden. Runs are whole where the row has
    room, as the spans of `wav2vec_spans` are. What hidden frames become is `fill_frames`.

    Args:
        key: drives the starts and the order within the runs and outside them.
        grid: (T, ...); all positions of a frame are hidden together.
        num_masked: the budget, in positions. `draw_chosen` hides the runs alone; `draw` and
            `draw_counts` fill up to the budget, or trim to it, at random.
        run_length: C, in frames, at least 1.
        allow_overlap: False draws runs apart from each other, every placement equally likely, that
            hide exactly C * round(budget / C) frames, or as many whole runs as the row holds.
        is_candidate: False for padding; the real frames are consecutive. A budget above the number
            of candidates counts as that number, so that one for a batch suits its short rows.

    Returns:
        U[1, 2) inside a run, U[0, 1) elsewhere, -inf where not a candidate.

    Raises:
        ValueError: a static budget outside the grid, or a `run_length` below 1.

    Examples:
        >>> scores = runs(jax.random.key(0), (40,), 12, run_length=4, allow_overlap=False)
        >>> int((scores >= 1).sum())
        12
    """
    check_whole("run_length", run_length, hint=" frame; Mockingjay uses 7")
    start_key, noise_key = jax.random.split(key)
    mean = _num_frames(num_masked, grid, is_candidate) / run_length
    num_runs = jnp.round(mean).astype(jnp.int32)
    place = _cover if allow_overlap else _cover_apart
    covered = place(start_key, real_along(is_candidate, grid, 0), num_runs, run_length)
    return scores_of_chosen(noise_key, spread(covered, grid, 0), is_candidate)


def _num_frames(
    num_masked: int | Array, grid: tuple[int, ...], is_candidate: Bool[Array, "L"] | None
) -> Float[Array, ""]:
    """A budget in frames, of at most the candidates; in one precision whether traced or not."""
    if is_candidate is not None:
        num_masked = jnp.minimum(num_masked, is_candidate.sum(dtype=jnp.int32))
    return jnp.asarray(num_masked, jnp.float32) / math.prod(grid[1:])


def _cover(
    key: Key[Array, ""], is_frame: Bool[Array, "T"], num_spans: Int[Array, ""], span_length: int
) -> Bool[Array, "T"]:
    """The union of spans with distinct starts: those of whole spans, or any in short rows."""
    num_real = is_frame.sum(dtype=jnp.int32)
    num_spans = jnp.minimum(num_spans, num_real)
    num_starts = num_real - span_length + 1
    num_starts = jnp.where(num_starts > jnp.maximum(num_spans, 1), num_starts, num_real)
    can_start = is_frame & (jnp.cumsum(is_frame) <= num_starts)
    noise = jnp.where(can_start, jax.random.uniform(key, is_frame.shape), -jnp.inf)
    return _extend(cut_counts(noise, num_spans), span_length) & is_frame


def _cover_apart(
    key: Key[Array, ""], is_frame: Bool[Array, "T"], num_runs: Int[Array, ""], run_length: int
) -> Bool[Array, "T"]:
    """Runs that do not overlap: drawn as single slots of a row that is shorter by their rests."""
    num_real = is_frame.sum(dtype=jnp.int32)
    num_runs = jnp.minimum(num_runs, num_real // run_length)
    num_slots = num_real - num_runs * (run_length - 1)
    slots = jnp.arange(is_frame.size)
    noise = jnp.where(slots < num_slots, jax.random.uniform(key, is_frame.shape), -jnp.inf)
    is_run = cut_counts(noise, num_runs)
    # The frame at which each slot begins: later by the rests of all the runs before it.
    first = slots + (run_length - 1) * (jnp.cumsum(is_run) - is_run) + jnp.argmax(is_frame)
    is_start = jnp.zeros(is_frame.shape, bool).at[first].set(
        is_run, mode="drop", unique_indices=True, indices_are_sorted=True
    )  # fmt: skip
    return _extend(is_start, run_length) & is_frame


def _extend(is_start: Bool[Array, "T"], span_length: int) -> Bool[Array, "T"]:
    """True at each start and at the span_length - 1 frames behind it."""
    num_started = jnp.cumsum(is_start)
    num_ended = jnp.pad(num_started, (min(span_length, is_start.size), 0))[: is_start.size]
    return num_started > num_ended
