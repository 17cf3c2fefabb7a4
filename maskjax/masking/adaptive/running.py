"""Running losses per position or per vocabulary entry: what is hard is hidden more often."""

from typing import NamedTuple

import jax.numpy as jnp

from maskjax.masking.adaptive.entries import check_entries, check_kind, check_share, sum_entries
from maskjax.masking.checks import as_array, as_flags, as_integers, check_shapes
from maskjax.typing import Array, Bool, Float, Int


class RunningLosses(NamedTuple):
    """A running loss for each of N entries: positions of a grid, or ids of a vocabulary.

    Attributes:
        losses: running mean of the losses where hidden; 0 before the first.
        num_updates: how many updates an entry has been part of.
    """

    losses: Float[Array, "N"]
    num_updates: Int[Array, "N"]


class LossStatistics(NamedTuple):
    """What `apply` needs of a batch; sums, so those of several devices can be added.

    Attributes:
        loss_sum: sum of the losses of each entry where it was hidden.
        count: how often it was hidden.
    """

    loss_sum: Float[Array, "N"]
    count: Float[Array, "N"]


def init(num_entries: int) -> RunningLosses:
    """A state that knows nothing, by which all entries weigh the same.

    Args:
        num_entries: N, positions of the grid or ids of the vocabulary, at least 1.

    Returns:
        The state.

    Raises:
        ValueError: `num_entries` below 1.

    Examples:
        >>> log_weights(init(3)).tolist()
        [0.0, 0.0, 0.0]
    """
    check_entries(num_entries)
    return RunningLosses(jnp.zeros(num_entries), jnp.zeros(num_entries, jnp.int32))


def statistics(
    losses: Float[Array, "*b L"],
    is_masked: Bool[Array, "*b L"],
    *,
    ids: Int[Array, "*b L"] | None = None,
    num_entries: int | None = None,
) -> LossStatistics:
    """Sums of a batch's losses where it was hidden.

    Args:
        losses: of each position; those of visible ones are not read, and may be anything.
        is_masked: True = hidden.
        ids: the vocabulary entry of each position; one outside 0 ... N - 1 is not counted. None:
            the entries are the positions, N = L.
        num_entries: N, static; only with ids.

    Returns:
        The statistics. Add those of all devices (`jax.lax.psum`) before they are applied.

    Raises:
        ValueError: ids without `num_entries`, or the reverse; shapes that differ; or flags that are
            not boolean.

    Examples:
        >>> losses, is_masked = jnp.array([[4.0, 1.0, 2.0]]), jnp.array([[True, False, True]])
        >>> statistics(losses, is_masked, ids=jnp.array([[1, 1, 1]]), num_entries=2).count.tolist()
        [0.0, 2.0]
    """
    losses, is_masked = as_array("losses", losses), as_flags("is_masked", is_masked)
    return LossStatistics(
        sum_entries(losses, is_masked, ids, num_entries),
        sum_entries(jnp.ones(is_masked.shape), is_masked, ids, num_entries),
    )


def apply(
    state: RunningLosses, statistics: LossStatistics, *, decay: int | float = 0.99
) -> RunningLosses:
    """Moves the running loss of each entry that was hidden towards its mean loss in the batch.

    Args:
        state: from `init` or an earlier call.
        statistics: of the whole batch.
        decay: share of the old value that stays, in [0, 1]; a first update replaces it.

    Returns:
        The new state; entries that were not hidden keep their values.

    Raises:
        ValueError: a decay outside [0, 1], or statistics of another number of entries.

    Examples:
        >>> sums = LossStatistics(jnp.array([6.0, 0.0]), jnp.array([2.0, 0.0]))
        >>> apply(init(2), sums).losses.tolist()
        [3.0, 0.0]
    """
    check_share("decay", decay)
    check_kind("state", state, RunningLosses)
    check_kind("statistics", statistics, LossStatistics)
    check_shapes("state", state.losses.shape, loss_sum=statistics.loss_sum)
    was_hidden = statistics.count > 0
    mean = statistics.loss_sum / jnp.maximum(statistics.count, 1)
    decayed = decay * state.losses + (1 - decay) * mean
    updated = jnp.where(state.num_updates > 0, decayed, mean)
    return RunningLosses(
        jnp.where(was_hidden, updated, state.losses), state.num_updates + was_hidden
    )


def log_weights(
    state: RunningLosses, ids: Int[Array, "*b L"] | None = None, *, floor: int | float = 0.01
) -> Float[Array, "..."]:
    """Logarithms of the running losses over their mean, for the rule `weighted`.

    At temperature 1 a position is drawn in proportion to its running loss: the expected share of
    hidden ones rises where the loss is above the row's mean and falls where it is below. The
    count is that of the cut, exactly. An entry that was never hidden weighs as much as the mean.

    Args:
        state: running losses, none of them negative.
        ids: the vocabulary entry of each position; None where the entries are the positions.
        floor: smallest weight over the mean, above 0, so that nothing is given up for good.

    Returns:
        Shape [*b L] of the ids, or [N] without.

    Raises:
        ValueError: a floor that is not above 0 and finite.

    Examples:
        >>> state = RunningLosses(jnp.array([3.0, 1.0, 0.0]), jnp.array([5, 5, 0]))
        >>> logs = log_weights(state, jnp.array([2, 0, 0, 1]))
        >>> [round(weight, 3) for weight in jnp.exp(logs).tolist()]
        [1.0, 1.5, 1.5, 0.5]
    """
    check_kind("state", state, RunningLosses)
    if not 0 < floor < float("inf"):
        raise ValueError(f"floor {floor} must be above 0 and finite, for example 0.01")
    is_known = state.num_updates > 0
    num_known = jnp.maximum(is_known.sum(), 1)
    mean = jnp.where(is_known, state.losses, 0).sum() / num_known
    # Where all known losses are 0 they all weigh the floor.
    weights = jnp.where(is_known, state.losses / jnp.where(mean > 0, mean, 1), 1)
    logs = jnp.log(jnp.maximum(weights, floor))
    return logs if ids is None else logs[as_integers("ids", ids)]
