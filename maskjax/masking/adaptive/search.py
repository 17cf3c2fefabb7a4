"""A search over candidate masks by a metric of one's own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.checks import as_array, as_counts, check_keys, check_whole
from maskjax.masking.core import cut_counts, grid_length
from maskjax.masking.drawing import score
from maskjax.masking.registry import Rule
from maskjax.typing import Array, Bool, Float, Int, Key

Metric = Callable[[Bool[Array, "B L"]], Float[Array, "B"]]


class BestOf(NamedTuple):
    """The best of several candidates of each example.

    Attributes:
        scores: of the candidate that the metric values most, among equals the first.
        values: what the metric gives it.
    """

    scores: Float[Array, "B L"]
    values: Float[Array, "B"]


def best_of(
    rule: Rule,
    keys: Key[Array, "B"],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, "B"],
    metric: Metric,
    *,
    num_candidates: int,
    **runtime: Any,
) -> BestOf:
    """The scores of each example's best mask out of several drawn by a rule.

    Candidate c of an example comes from the rule with fold_in(key, c), its mask from the cut at
    that example's count. `cut`, `cut_counts` or `cut_slots` at the same count hide it exactly.
    Memory does not grow with C, and as keys belong to examples nothing changes when rows are spread
    over devices. Positions in masks that are judged better are hidden more often than by the rule;
    with one candidate its own ratio stays.

    Args:
        rule: from `make_rule`, or a plain scoring function.
        keys: one key per example (`example_keys`).
        grid: positions along each axis.
        num_masked: how many positions will be hidden, one count or one per example.
        metric: `is_masked [B L] -> [B]`, pure, the higher the better, for example the model's loss
            on the batch under that mask. NaN loses to everything.
        num_candidates: C, at least 1.
        **runtime: as for `score`.

    Returns:
        The BestOf.

    Raises:
        ValueError: `num_candidates` below 1, a metric of another shape, or as `score`.

    Examples:
        >>> from maskjax.masking import cut, make_rule
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> first_hidden = lambda is_masked: is_masked[:, 0].astype(jnp.float32)
        >>> rule = make_rule("random")
        >>> scores, values = best_of(rule, keys, (4,), 2, first_hidden, num_candidates=20)
        >>> cut(scores, 2).is_masked[:, 0].tolist(), values.tolist()
        ([True, True], [1.0, 1.0])
    """
    check_whole("num_candidates", num_candidates)
    check_keys(keys)
    if not callable(metric):
        raise ValueError(f"metric {metric!r}: give a function of is_masked [B, L] -> [B]")
    num_masked = as_counts(num_masked, grid_length(grid))
    counts = jnp.broadcast_to(jnp.asarray(num_masked, jnp.int32), len(keys))

    def candidate(number):
        candidate_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
        scores = score(rule, candidate_keys, grid, num_masked, **runtime)
        values = as_array("metric", metric(cut_counts(scores, counts)))
        if values.shape != counts.shape:
            raise ValueError(f"metric of shape {values.shape} for {len(keys)} examples; one each")
        return BestOf(scores, values)

    def compare(best, number):
        return _better(best, candidate(number)), None

    return jax.lax.scan(compare, candidate(0), jnp.arange(1, num_candidates))[0]


def _better(best: BestOf, new: BestOf) -> BestOf:
    """The better of two candidates of each example; the first where they are equal."""
    is_better = (new.values > best.values) | (jnp.isnan(best.values) & ~jnp.isnan(new.values))
    scores = jnp.where(is_better[:, None], new.scores, best.scores)
    return BestOf(scores, jnp.where(is_better, new.values, best.values))
