"""The label-driven rule: each entry's mask ratio follows the labels of the tokens it stands for."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.adaptive.entries import check_entries, check_kind, sum_entries
from maskjax.masking.checks import (
    as_flags,
    as_integers,
    check_key,
    check_number,
    check_shapes,
    check_whole,
)
from maskjax.typing import Array, Bool, Float, Int, Key

STARTS = ("uniform", "normal")


class LabelRatios(NamedTuple):
    """A mask ratio for each of N entries: ids of a vocabulary, or positions.

    Attributes:
        ratios: m, in [0, 1].
    """

    ratios: Float[Array, "N"]


class LabelStatistics(NamedTuple):
    """What `apply` needs of a batch; sums, so those of several devices can be added.

    Attributes:
        num_positive: how many positive tokens each entry had.
        num_negative: how many negative ones.
    """

    num_positive: Float[Array, "N"]
    num_negative: Float[Array, "N"]


def init(
    key: Key[Array, ""],
    num_entries: int,
    *,
    start: str = "uniform",
    center: int | float = 0.5,
    spread: int | float = 0.5,
) -> LabelRatios:
    """Mask ratios drawn at random.

    Args:
        key: draws them.
        num_entries: N, at least 1.
        start: "uniform": U[center - spread, center + spread); "normal": the same centre and a
            standard deviation of spread / 3. Both are clipped to [0, 1].
        center: in [0, 1].
        spread: at least 0; at 0 all entries start at the centre.

    Returns:
        The state.

    Raises:
        ValueError: an unknown start, or an argument out of its range.

    Examples:
        >>> init(jax.random.key(0), 3, center=0.25, spread=0).ratios.tolist()
        [0.25, 0.25, 0.25]
    """
    check_key(key)
    check_entries(num_entries)
    if start not in STARTS:
        raise ValueError(f"unknown start {start!r}; known: {STARTS}")
    if not 0 <= center <= 1 or spread < 0:
        raise ValueError(f"center {center} must be from 0 to 1, and spread {spread} at least 0")
    if start == "uniform":
        noise = 2 * jax.random.uniform(key, (num_entries,), jnp.float32) - 1
    else:
        noise = jax.random.normal(key, (num_entries,), jnp.float32) / 3
    return LabelRatios(jnp.clip(center + spread * noise, 0, 1))


def statistics(
    is_positive: Bool[Array, "*b L"],
    is_counted: Bool[Array, "*b L"],
    *,
    ids: Int[Array, "*b L"] | None = None,
    num_entries: int | None = None,
) -> LabelStatistics:
    """Counts the positive and the negative tokens of each entry.

    Args:
        is_positive: the label of each token, or of its text.
        is_counted: False for padding and for tokens without a label.
        ids: the entry of each token; one outside 0 ... N - 1 is not counted. None: the entries are
            the positions, N = L.
        num_entries: N, static; only with ids.

    Returns:
        The statistics. Add those of all devices (`jax.lax.psum`) before they are applied.

    Raises:
        ValueError: ids without `num_entries`, or the reverse; shapes that differ; or flags that are
            not boolean.

    Examples:
        >>> is_positive, is_counted = jnp.array([True, False, True]), jnp.array([True, True, False])
        >>> counts = statistics(is_positive, is_counted, ids=jnp.array([1, 1, 0]), num_entries=2)
        >>> counts.num_positive.tolist(), counts.num_negative.tolist()
        ([0.0, 1.0], [0.0, 1.0])
    """
    is_positive, is_counted = (
        as_flags("is_positive", is_positive),
        as_flags("is_counted", is_counted),
    )
    check_shapes("is_positive", is_positive.shape, is_counted=is_counted)
    ones = jnp.ones(is_positive.shape)
    return LabelStatistics(
        sum_entries(ones, is_counted & is_positive, ids, num_entries),
        sum_entries(ones, is_counted & ~is_positive, ids, num_entries),
    )


def apply(
    state: LabelRatios, statistics: LabelStatistics, *, alpha: int | float, num_examples: int
) -> LabelRatios:
    """Raises the ratio of each entry for its positive tokens and lowers it for negative ones.

    m <- clip(m + alpha / |D| (positive - negative), 0, 1). The tokens of a batch are added up
    before the clip, so that their order does not matter.

    Args:
        state: from `init` or an earlier call.
        statistics: of the whole batch.
        alpha: step size, at least 0.
        num_examples: |D|, size of the training set, at least 1.

    Returns:
        The new state.

    Raises:
        ValueError: an argument out of its range.

    Examples:
        >>> counts = LabelStatistics(jnp.array([3.0, 0.0, 9.0]), jnp.array([1.0, 1.0, 0.0]))
        >>> state = LabelRatios(jnp.array([0.5, 0.5, 0.5]))
        >>> apply(state, counts, alpha=0.5, num_examples=4).ratios.tolist()
        [0.75, 0.375, 1.0]
    """
    alpha = check_number("alpha", alpha)
    check_whole("num_examples", num_examples, least=None)
    if not 0 <= alpha < float("inf") or num_examples < 1:
        raise ValueError(
            f"alpha {alpha} must be at least 0 and finite, num_examples {num_examples} at least 1"
        )
    check_kind("state", state, LabelRatios)
    check_kind("statistics", statistics, LabelStatistics)
    check_shapes("state", state.ratios.shape, num_positive=statistics.num_positive)
    change = alpha / num_examples * (statistics.num_positive - statistics.num_negative)
    return LabelRatios(jnp.clip(state.ratios + change, 0, 1))


def probabilities(
    state: LabelRatios,
    ids: Int[Array, "*b L"] | None = None,
    *,
    is_candidate: Bool[Array, "*b L"] | None = None,
) -> Float[Array, "..."]:
    """The probability with which each position is hidden, for the rule `token_probabilities`.

    It is the entry's ratio m: the expected count of a row is the sum over its positions, and moves
    with the labels. `log_weights` keeps the preference at an exact count.

    Args:
        state: the ratios.
        ids: the entry of each position; None where the entries are the positions.
        is_candidate: False where a position must stay visible.

    Returns:
        Shape [*b L] of the ids or the candidates, or [N] without; 0 where not a candidate.

    Examples:
        >>> probabilities(LabelRatios(jnp.array([0.25, 1.0])), jnp.array([[1, 0, 0]])).tolist()
        [[1.0, 0.25, 0.25]]
    """
    check_kind("state", state, LabelRatios)
    ratios = jnp.asarray(state.ratios)
    ratios = ratios if ids is None else ratios[as_integers("ids", ids)]
    if is_candidate is None:
        return ratios
    is_candidate = as_flags("is_candidate", is_candidate)
    return jnp.where(is_candidate, jnp.broadcast_to(ratios, is_candidate.shape), 0)


def log_weights(
    state: LabelRatios, ids: Int[Array, "*b L"] | None = None, *, floor: int | float = 1e-6
) -> Float[Array, "..."]:
    """Logarithms of the ratios, for the rule `weighted`: hidden positions are drawn by m.

    A position is drawn in proportion to m, without replacement: the expected share of hidden ones
    rises with m, and the count is that of the cut, exactly.

    Args:
        state: the ratios.
        ids: the entry of each position; None where the entries are the positions.
        floor: smallest weight, above 0: a ratio of 0 is hidden only where nothing else is left.

    Returns:
        Shape [*b L] of the ids, or [N] without.

    Raises:
        ValueError: a floor that is not above 0.

    Examples:
        >>> logs = log_weights(LabelRatios(jnp.array([0.0, 0.5])), jnp.array([1, 0]))
        >>> jnp.exp(logs).round(6).tolist() == [0.5, jnp.float32(1e-6).item()]
        True
    """
    if not 0 < floor < float("inf"):
        raise ValueError(f"floor {floor} must be above 0 and finite, for example 1e-6")
    return jnp.log(jnp.maximum(probabilities(state, ids), floor))
