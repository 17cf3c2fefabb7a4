"""Token frequencies: rare vocabulary entries are hidden more often, or frequent ones."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from maskjax.masking.adaptive.entries import (
    check_entries,
    check_kind,
    check_rate,
    check_share,
    rate_shares,
    sum_entries,
)
from maskjax.masking.checks import as_array, as_flags, as_integers, check_number, check_shapes
from maskjax.typing import Array, Bool, Float, Int


class TokenCounts(NamedTuple):
    """How often each of N vocabulary entries occurred.

    Attributes:
        counts: float32, so that from 2^24 on a single occurrence is rounded away.
    """

    counts: Float[Array, "N"]


class CountStatistics(NamedTuple):
    """What `apply` needs of a batch; sums, so those of several devices can be added.

    Attributes:
        count: how often each entry occurred.
    """

    count: Float[Array, "N"]


def init(num_entries: int) -> TokenCounts:
    """A state that has counted nothing, by which all entries weigh the same.

    Args:
        num_entries: N, ids of the vocabulary, at least 1. The counts of a whole corpus, where they
            are known, are a state as well: `TokenCounts(counts)`.

    Returns:
        The state.

    Raises:
        ValueError: `num_entries` below 1.

    Examples:
        >>> log_weights(init(3), jnp.array([2, 0])).tolist()
        [0.0, 0.0]
    """
    check_entries(num_entries)
    return TokenCounts(jnp.zeros(num_entries, jnp.float32))


def statistics(
    ids: Int[Array, "*b L"], is_counted: Bool[Array, "*b L"], *, num_entries: int
) -> CountStatistics:
    """Counts the tokens of a batch, hidden or not.

    Args:
        ids: the true entry of each position; one outside 0 ... N - 1 is not counted.
        is_counted: False for padding and special tokens.
        num_entries: N, static.

    Returns:
        The statistics. Add those of all devices (`jax.lax.psum`) before they are applied.

    Raises:
        ValueError: shapes that differ, or flags that are not boolean.

    Examples:
        >>> ids, is_counted = jnp.array([[1, 1, 2]]), jnp.array([[True, True, False]])
        >>> statistics(ids, is_counted, num_entries=3).count.tolist()
        [0.0, 2.0, 0.0]
    """
    ids, is_counted = as_integers("ids", ids), as_flags("is_counted", is_counted)
    return CountStatistics(sum_entries(jnp.ones(ids.shape), is_counted, ids, num_entries))


def apply(
    state: TokenCounts, statistics: CountStatistics, *, decay: int | float = 1
) -> TokenCounts:  # fmt: skip
    """Adds a batch's counts.

    Args:
        state: from `init` or an earlier call.
        statistics: of the whole batch.
        decay: share of the old counts that stays, in [0, 1]; 1 counts all that was ever seen.

    Returns:
        The new state.

    Raises:
        ValueError: a decay outside [0, 1].

    Examples:
        >>> apply(TokenCounts(jnp.array([4.0, 0.0])), CountStatistics(jnp.ones(2))).counts.tolist()
        [5.0, 1.0]
    """
    check_share("decay", decay)
    check_kind("state", state, TokenCounts)
    check_kind("statistics", statistics, CountStatistics)
    check_shapes("state", state.counts.shape, count=statistics.count)
    return TokenCounts(decay * state.counts + statistics.count)


def log_weights(
    state: TokenCounts,
    ids: Int[Array, "*b L"],
    *,
    exponent: int | float = 0.5,
    smoothing: int | float = 1,
) -> Float[Array, "*b L"]:
    """Logarithms of w = (f / mean f)^-exponent, f = count + smoothing, for the rule `weighted`.

    Exponent .5 is that by which Mikolov et al. 2013 (word2vec, section 2.3) keep frequent words
    less often; at 1 every entry is hidden about as often as any other, at 0 every position. Below 0
    the frequent ones are hidden more. The count is that of the cut, exactly.

    Args:
        state: the counts.
        ids: the vocabulary entry of each position.
        exponent: how strongly rare entries are preferred; any finite number.
        smoothing: added to each count, above 0, so that what was not seen yet has a weight.

    Returns:
        log w of each position's entry.

    Raises:
        ValueError: a smoothing that is not above 0 and finite, or an exponent that is not finite.

    Examples:
        >>> state = TokenCounts(jnp.array([15.0, 3.0, 7.0]))
        >>> logs = log_weights(state, jnp.array([0, 1]))
        >>> round(jnp.exp(logs[1] - logs[0]).item(), 5)  # 4 times as rare: twice as often
        2.0
    """
    if not 0 < smoothing < float("inf"):
        raise ValueError(f"smoothing {smoothing} must be above 0 and finite, for example 1")
    if not np.isfinite(check_number("exponent", exponent)):
        raise ValueError(f"exponent {exponent} must be finite, for example 0.5")
    check_kind("state", state, TokenCounts)
    counts = as_array("counts", state.counts).astype(jnp.float32)
    logs = jnp.log(counts + smoothing)
    return exponent * (jnp.log(counts.mean() + smoothing) - logs)[as_integers("ids", ids)]


def probabilities(
    state: TokenCounts,
    ids: Int[Array, "*b L"],
    *,
    rate: int | float | np.number | Float[Array, ""],
    exponent: int | float = 0.5,
    smoothing: int | float = 1,
    is_candidate: Bool[Array, "*b L"] | None = None,
) -> Float[Array, "*b L"]:
    """The probability with which each position is hidden, for the rule `token_probabilities`.

    As `amlm.probabilities`, p_i = rate L w[x_i] / sum_j w[x_j] over the L positions of the row that
    may be hidden: unless one is clipped at 1 they add up to rate L, and rare entries take it from
    frequent ones.

    Args:
        state: the counts.
        ids: the vocabulary entry of each position.
        rate: mask rate, strictly between 0 and 1; a traced one is not checked.
        exponent: as for `log_weights`.
        smoothing: as for `log_weights`.
        is_candidate: False where a position must stay visible.

    Returns:
        Probabilities in [0, 1]; 0 where not a candidate.

    Raises:
        ValueError: a rate outside (0, 1), or a smoothing that is not above 0.

    Examples:
        >>> state = TokenCounts(jnp.array([15.0, 3.0]))
        >>> shares = probabilities(state, jnp.array([0, 0, 1, 1]), rate=0.3)
        >>> [round(share, 3) for share in shares.tolist()]
        [0.2, 0.2, 0.4, 0.4]
    """
    check_rate(rate)
    logs = log_weights(state, ids, exponent=exponent, smoothing=smoothing)
    if is_candidate is not None:
        is_candidate = as_flags("is_candidate", is_candidate)
        logs = jnp.where(is_candidate, logs, -jnp.inf)
    # Relative to the largest of the row, so that no exponent overflows.
    largest = jnp.maximum(logs.max(axis=-1, keepdims=True), jnp.finfo(logs.dtype).min)
    return rate_shares(jnp.exp(logs - largest), rate, is_candidate)
