"""AMLM: vocabulary entries that the model gets wrong are hidden more often."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.adaptive.entries import (
    check_entries,
    check_kind,
    check_rate,
    check_share,
    is_static,
    rate_shares,
    sum_entries,
)
from maskjax.masking.checks import as_flags, as_integers, check_shapes, check_whole, known
from maskjax.typing import Array, Bool, Float, Int


class EntryWeights(NamedTuple):
    """A weight for each vocabulary entry, and what has been counted since it last changed.

    Attributes:
        weights: w, whose mean is the mask rate.
        num_correct: c, how often the entry was hidden and predicted correctly.
        num_seen: n, how often it was hidden.
        num_steps: updates since the weights last changed.
    """

    weights: Float[Array, "V"]
    num_correct: Float[Array, "V"]
    num_seen: Float[Array, "V"]
    num_steps: Int[Array, ""]


class AccuracyStatistics(NamedTuple):
    """What `apply` needs of a batch; sums, so those of several devices can be added.

    Attributes:
        num_correct: how often each entry was hidden and predicted correctly.
        num_seen: how often it was hidden.
    """

    num_correct: Float[Array, "V"]
    num_seen: Float[Array, "V"]


def init(num_entries: int, *, rate: int | float | np.number) -> EntryWeights:
    """Equal weights.

    Args:
        num_entries: V, ids of the vocabulary, at least 1.
        rate: mask rate, strictly between 0 and 1.

    Returns:
        The state.

    Raises:
        ValueError: a size below 1 or a rate outside (0, 1).

    Examples:
        >>> init(4, rate=0.25).weights.tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    check_entries(num_entries)
    check_rate(rate)
    # Each an array of its own: the state may be donated to a step.
    return EntryWeights(
        jnp.full(num_entries, rate, jnp.float32),
        jnp.zeros(num_entries, jnp.float32),
        jnp.zeros(num_entries, jnp.float32),
        jnp.int32(0),
    )


def statistics(
    ids: Int[Array, "*b L"],
    is_correct: Bool[Array, "*b L"],
    is_masked: Bool[Array, "*b L"],
    *,
    num_entries: int,
) -> AccuracyStatistics:
    """Counts, for each vocabulary entry, how often it was hidden and how often recovered.

    Args:
        ids: the true entry of each position; one outside 0 ... V - 1 is not counted.
        is_correct: whether the model's best guess is that entry; read where hidden.
        is_masked: True = hidden.
        num_entries: V, static.

    Returns:
        The statistics. Add those of all devices (`jax.lax.psum`) before they are applied.

    Raises:
        ValueError: shapes that differ, or flags that are not boolean.

    Examples:
        >>> is_correct = jnp.array([[True, False, True]])
        >>> is_masked = jnp.array([[True, True, False]])
        >>> counts = statistics(jnp.array([[2, 2, 0]]), is_correct, is_masked, num_entries=3)
        >>> counts.num_correct.tolist(), counts.num_seen.tolist()
        ([0.0, 0.0, 1.0], [0.0, 0.0, 2.0])
    """
    ids = as_integers("ids", ids)
    is_correct, is_masked = as_flags("is_correct", is_correct), as_flags("is_masked", is_masked)
    return AccuracyStatistics(
        sum_entries(is_correct.astype(jnp.float32), is_masked, ids, num_entries),
        sum_entries(jnp.ones(ids.shape), is_masked, ids, num_entries),
    )


def apply(
    state: EntryWeights,
    statistics: AccuracyStatistics,
    *,
    rate: int | float | np.number | Float[Array, ""],
    every_steps: int = 200,
    decay: int | float = 0.2,
    floor: int | float = 0.005,
) -> EntryWeights:
    """Adds up a batch's counts, and every so many steps turns them into new weights.

    Edman & Fraser 2025 (AMLM), with the "hard" metric, whether a guess is right: of the paper's
    metrics only this one is here. acc = (c + .5) / (n + 1) of what was counted
    since the last change, w <- decay w + (1 - decay) rate (1 - acc), raised to the floor, and
    scaled to mean(w) = rate. The scaling comes last, so that a weight can end up off the floor by
    that factor.

    Args:
        state: from `init` or an earlier call.
        statistics: of the whole batch.
        rate: mask rate, strictly between 0 and 1; a traced one, of a schedule, is not checked.
        every_steps: k, at least 1: the weights change with every k-th call and keep between.
        decay: share of the old weights that stays, in [0, 1]; .2 in the paper.
        floor: smallest weight before the scaling, above 0 and at most the rate.

    Returns:
        The new state.

    Raises:
        ValueError: an argument out of its range.

    Examples:
        >>> counts = AccuracyStatistics(jnp.array([9.5, 0.5]), jnp.array([19.0, 19.0]))
        >>> state = apply(init(2, rate=0.5), counts, rate=0.5, every_steps=1, decay=0)
        >>> [round(weight, 3) for weight in state.weights.tolist()]  # accuracies .5 and .05
        [0.345, 0.655]
    """
    check_rate(rate)
    check_share("decay", decay)
    check_kind("state", state, EntryWeights)
    check_kind("statistics", statistics, AccuracyStatistics)
    check_shapes("state", state.weights.shape, num_seen=statistics.num_seen)
    check_whole("every_steps", every_steps, hint="; the paper uses 200")
    if not floor > 0 or (is_static(rate) and floor > known(rate)):
        raise ValueError(f"floor {floor} must be above 0 and at most the rate {rate}")
    num_correct = state.num_correct + statistics.num_correct
    num_seen = state.num_seen + statistics.num_seen
    accuracy = (num_correct + 0.5) / (num_seen + 1)
    weights = decay * state.weights + (1 - decay) * rate * (1 - accuracy)
    weights = jnp.maximum(weights, floor)
    zeros = jnp.zeros_like(num_seen)
    changed = EntryWeights(weights * (rate / weights.mean()), zeros, zeros, jnp.int32(0))
    kept = EntryWeights(state.weights, num_correct, num_seen, state.num_steps + 1)
    is_time = state.num_steps + 1 >= every_steps
    return jax.tree.map(lambda new, old: jnp.where(is_time, new, old), changed, kept)


def probabilities(
    state: EntryWeights,
    ids: Int[Array, "*b L"],
    *,
    rate: int | float | np.number | Float[Array, ""],
    is_candidate: Bool[Array, "*b L"] | None = None,
) -> Float[Array, "*b L"]:
    """The probability with which each position is hidden, for the rule `token_probabilities`.

    p_i = rate L w[x_i] / sum_j w[x_j] over the L positions of the row that may be hidden. Unless
    one is clipped at 1 they add up to rate L: the expected count of a row is that of uniform
    masking, and hard entries take it from easy ones.

    Args:
        state: the weights.
        ids: the vocabulary entry of each position.
        rate: mask rate, strictly between 0 and 1.
        is_candidate: False where a position must stay visible.

    Returns:
        Probabilities in [0, 1]; 0 where not a candidate.

    Raises:
        ValueError: a rate outside (0, 1).

    Examples:
        >>> state = init(3, rate=0.5)._replace(weights=jnp.array([0.75, 0.25, 0.5]))
        >>> probabilities(state, jnp.array([0, 1, 1, 0]), rate=0.5).tolist()
        [0.75, 0.25, 0.25, 0.75]
    """
    check_rate(rate)
    check_kind("state", state, EntryWeights)
    weights = jnp.asarray(state.weights)[as_integers("ids", ids)]
    return rate_shares(weights, rate, is_candidate)


def log_weights(state: EntryWeights, ids: Int[Array, "*b L"]) -> Float[Array, "*b L"]:
    """Logarithms of the weights, for the rule `weighted`: the same preference, an exact count.

    Positions are drawn without replacement in proportion to w, so that a heavy one is hidden a
    little less often than `probabilities` says.

    Args:
        state: the weights.
        ids: the vocabulary entry of each position.

    Returns:
        log w of each position's entry.

    Examples:
        >>> jnp.exp(log_weights(init(3, rate=0.5), jnp.array([[2, 0]]))).tolist()
        [[0.5, 0.5]]
    """
    check_kind("state", state, EntryWeights)
    return jnp.log(state.weights)[as_integers("ids", ids)]
