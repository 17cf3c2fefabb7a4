"""What is hidden of each example: `config.mask` as a rule, a count, and what the masks follow.

A task draws by `draw` (patches: slots of static size) or `flags` (rows of different lengths). Rules
that follow something are given its state, the task's memory, as weights; `statistics` and
`remember` move it. In evaluation masks follow nothing, so that losses can be compared.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.masking.adaptive import best_of, hard_share
from maskjax.tasks import options
from maskjax.tasks.copies import in_turn
from maskjax.tasks.followers import Follower, Labels, Seen, of_rows, padded
from maskjax.tasks.following import make_follower
from maskjax.tasks.task import Context, Task
from maskjax.typing import Array, Batch, Bool, Float, Int, PyTree

_LOSSES = "losses"  # the metric of best_of that the running losses give


@dataclasses.dataclass(frozen=True)
class Masker:
    """Rule, count, and what the masks follow.

    Attributes:
        rule: from `masking.make_rule`.
        schedule: of the mask ratio.
        grid: positions along each axis, L in all.
        total_steps: of the run, for what grows with it.
        follower: what the masks follow; None for nothing.
        max_share: of `hard_patches`, at the end of the run.
        num_candidates: masks of which the best is taken, 1 = the first.
        metric: `(is_masked [B, L], batch) -> [B]`, the higher the better; None: the running losses.
        positive: the classes that count as positive, for masks that follow labels.
        hides_missing: whether what is missing is hidden, whatever the rule says.
        copies: fixed masks of an example, in turn; 0 = a fresh one whenever it comes.
    """

    rule: masking.Rule
    schedule: masking.Schedule
    grid: tuple[int, ...]
    total_steps: int
    follower: Follower | None = None
    max_share: float = 0.5
    num_candidates: int = 1
    metric: Callable[[Array, Batch], Array] | None = None
    positive: tuple[int, ...] = ()
    hides_missing: bool = False
    copies: int = 0

    @property
    def length(self) -> int:
        """L, positions of an example."""
        return math.prod(self.grid)

    def start(self) -> PyTree:
        """The memory of step 0; () where the masks follow nothing."""
        return () if self.follower is None else self.follower.start()

    def remember(self, memory: PyTree, statistics: PyTree) -> PyTree:
        """The next memory."""
        return memory if self.follower is None else self.follower.remember(memory, statistics)

    def statistics(
        self,
        losses: Float[Array, "B L"],
        is_masked: Bool[Array, "B L"],
        is_counted: Bool[Array, "B L"],
        batch: Batch,
        ids: Int[Array, "B L"] | None = None,
        is_right: Bool[Array, "B L"] | None = None,
    ) -> PyTree:
        """What `remember` needs of a batch; () where the masks follow nothing.

        Args:
            losses: of each position; those of visible ones are not read.
            is_masked: True = hidden.
            is_counted: False for padding, and where nothing could be predicted; hidden or not.
            batch: labels are read where the masks follow them.
            ids: the vocabulary's entry of each position.
            is_right: whether the best guess is the truth; those of visible ones are not read.
        """
        if self.follower is None:
            return ()
        label = batch.get("label")
        is_positive = None if label is None else jnp.isin(label, jnp.array(self.positive))
        losses, ids = jax.lax.stop_gradient(losses), self.follower.entries(batch, ids)
        seen = Seen(losses, is_masked, is_counted, ids, is_positive, is_right)
        return self.follower.statistics(seen if self.follower.by_id else padded(seen, self.length))

    def draw(
        self,
        context: Context,
        batch: Mapping[str, Any],
        *,
        is_missing: Bool[Array, "B L"] | None = None,
    ) -> tuple[masking.Masking, Array | None]:
        """Hide positions of examples that are all of one length.

        Args:
            context: keys, step and memory.
            batch: what a metric of one's own reads; "mask_ratio" [B] is in place of the schedule's,
                and "mask_noise" [B, L] are scores in place of the rule's, which need no key.
            is_missing: with `hides_missing`, what is hidden beside the rule's share of the rest.

        Returns:
            The masking and, where the count varies, which slots are visible (else None).
        """
        is_given, context = "mask_noise" in batch, in_turn(batch, context, self.copies)
        if not is_given and self.hides_missing and is_missing is not None:
            return self._beside(is_missing, context, batch)
        if "mask_ratio" in batch:
            counts = masking.num_masked_from_traced_ratio(self.length, batch["mask_ratio"])
            return masking.cut_slots(self._scores(context, batch, counts), counts, 0)
        fewest = self.schedule.min_num_masked(self.length)
        if is_given or self.schedule.min_ratio == self.schedule.max_ratio:
            return masking.cut(self._scores(context, batch, fewest), fewest), None
        counts = self._counts(context)
        return masking.cut_slots(self._scores(context, batch, counts), counts, fewest)

    def flags(
        self,
        context: Context,
        batch: Mapping[str, Any],
        counts: Int[Array, "B"],
        is_candidate: Bool[Array, "B L"],
        ids: Int[Array, "B L"] | None = None,
        *,
        is_whole: bool = False,
    ) -> Bool[Array, "B L"]:
        """Hide positions of rows of different lengths.

        Args:
            context: keys, step and memory.
            batch: what a metric of one's own reads; "word_ids" for rules that hide words.
            counts: how many positions are hidden in each row.
            is_candidate: False where a position must stay visible, such as padding.
            ids: the vocabulary's entry of each position.
            is_whole: whether the rule's own choice is taken, which may be fewer than the count; not
                of scores that the batch brings, which choose nothing.

        Returns:
            True where a position is hidden.
        """
        context = in_turn(batch, context, self.copies)
        ids = ids if self.follower is None else self.follower.entries(batch, ids)
        scores = self._scores(context, batch, counts, ids=ids, is_candidate=is_candidate)
        is_chosen = is_whole and "mask_noise" not in batch
        return masking.cut_chosen(scores) if is_chosen else masking.cut_counts(scores, counts)

    def gate(
        self, context: Context, num_rows: int, ids: Int[Array, "B L"] | None = None
    ) -> Float[Array, "B L"]:
        """The soft gate m of masks that follow labels: 1 = seen."""
        assert isinstance(self.follower, Labels)
        length = self.length if ids is None else ids.shape[1]
        return of_rows(self.follower.gate(self._memory(context), ids), num_rows, length)

    def _memory(self, context: Context) -> PyTree:
        return context.memory if context.train else self.start()

    def _counts(self, context: Context) -> Int[Array, "B"]:
        count = lambda key: self.schedule.num_masked(self.length, context.step, key)  # noqa: E731
        return jax.vmap(count)(context.keys)

    def _scores(
        self, context: Context, batch: Batch, counts: Any, ids: Any = None, is_candidate: Any = None
    ) -> Float[Array, "B L"]:
        """What the batch, the rule, or the best of several tries of it says of each position."""
        if "mask_noise" in batch:
            noise = batch["mask_noise"]
            return noise if is_candidate is None else jnp.where(is_candidate, noise, -jnp.inf)
        keys, runtime = context.keys, self._runtime(context, batch, ids)
        if is_candidate is not None:
            runtime["is_candidate"] = is_candidate
        if self.num_candidates == 1:
            return masking.score(self.rule, keys, self.grid, counts, **runtime)
        own = self.metric
        if own is not None:
            metric: Any = lambda is_masked: own(is_masked, batch)  # noqa: E731
        else:
            weights = jnp.exp(self._weights(context, ids))
            metric = lambda is_masked: jnp.where(is_masked, weights, 0).sum(1)  # noqa: E731
        return best_of(
            self.rule, keys, self.grid, counts, metric,
            num_candidates=self.num_candidates, **runtime,
        ).scores  # fmt: skip

    def _weights(self, context: Context, ids: Array | None) -> Float[Array, "B L"]:
        assert self.follower is not None
        logs = self.follower.log_weights(self._memory(context), ids)
        return of_rows(logs, context.keys.shape[0], self.length)

    def _runtime(self, context: Context, batch: Batch, ids: Array | None) -> dict[str, Any]:
        """What the rule takes beside key, grid and count."""
        wanted = masking.accepted_options(self.rule)
        runtime: dict[str, Any] = {"step": context.step} if masking.needs_step(self.rule) else {}
        if "word_ids" in wanted and "word_ids" in batch:
            runtime["word_ids"] = jnp.asarray(batch["word_ids"])
        if "log_weights" in wanted and self.follower is not None:
            runtime["log_weights"] = self._weights(context, ids)
        elif "losses" in wanted:
            runtime["losses"] = jnp.exp(self._weights(context, ids))
        if "share" in wanted:
            step = jnp.minimum(context.step, self.total_steps - 1)
            runtime["share"] = hard_share(step, self.total_steps, max_share=self.max_share)
        return runtime

    def _beside(
        self, is_missing: Bool[Array, "B L"], context: Context, batch: Mapping[str, Any]
    ) -> tuple[masking.Masking, Array]:
        """Hide what is missing, and of the rest the rule's share; at least one stays visible."""
        num_missing = is_missing.sum(1, dtype=jnp.int32)
        there = self.length - num_missing
        ratio = jax.vmap(lambda key: self.schedule.ratio(context.step, key))(context.keys)
        visible = jnp.floor(there.astype(jnp.float32) * (1 - ratio) + 1e-4).astype(jnp.int32)
        counts = self.length - jnp.clip(visible, jnp.minimum(there, 1), there)
        fewest = self.schedule.min_num_masked(self.length)
        scores = self._scores(context, batch, jnp.maximum(counts - num_missing, 0))
        scores = jnp.where(is_missing, jnp.inf, scores)
        return masking.cut_slots(scores, jnp.maximum(counts, fewest), fewest)


class MaskedTask(Task):
    """A task that hides positions, by masks that may follow what it learns."""

    masker: Masker

    @property
    def positions_per_example(self) -> int:
        """L, positions of an example."""
        return self.masker.length

    def start(self) -> PyTree:
        """Make what the masks follow at step 0."""
        return self.masker.start()

    def remember(self, memory: PyTree, statistics: PyTree, step: Int[Array, ""]) -> PyTree:
        """Move what the masks follow."""
        del step
        return self.masker.remember(memory, statistics)


def make_masker(
    config: Any,
    grid: tuple[int, ...],
    data: Any,
    *,
    modality: str,
    num_ids: int = 0,
) -> Masker:
    """Make the masker of a config.

    Args:
        config: the whole config; "mask", "seed" and "total_steps" are read.
        grid: positions along each axis.
        data: `num_train`, `num_classes` and `has_gate` (batches have the m of a soft gate) are
            read, where it has them.
        modality: of the rules that there are, one of `masking.MODALITIES`.
        num_ids: size of the vocabulary; 0 where positions have no ids.

    Returns:
        The masker.

    Raises:
        ValueError: a rule, ratio, option or metric that does not fit; the message names the key.
    """
    mask, schedule = config.mask, options.ratio_schedule(config)
    length, tries = math.prod(grid), mask.best_of.candidates
    options.check_numbers(mask)
    is_gated = mask.fill == "gate" and not getattr(data, "has_gate", False)
    is_own = mask.best_of.metric != _LOSSES
    chosen = options.dotted("mask.best_of.metric", mask.best_of.metric) if is_own else None
    if is_gated and mask.follows != "labels":
        raise ValueError(
            f"mask.fill 'gate' needs mask.follows='labels', not {mask.follows!r}, or data.gate"
        )
    is_following = options.follows_something(mask) or is_gated or (tries > 1 and not is_own)
    return Masker(
        rule=options.mask_rule(mask, grid, schedule.max_num_masked(length), modality),
        schedule=schedule,
        grid=tuple(grid),
        total_steps=config.total_steps,
        follower=make_follower(config, length, num_ids, data) if is_following else None,
        max_share=mask.hard_patches.max_share,
        num_candidates=tries,
        metric=chosen if tries > 1 else None,
        positive=tuple(mask.labels.positive),
        hides_missing=str(config.data.missing).startswith("hide"),
        copies=mask.copies,
    )
