"""Hidden items of a history, and the one that comes next: BERT4Rec (Sun et al. 2019)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import masking
from maskjax.evaluation import ranking
from maskjax.evaluation.metrics import Mean, Metric
from maskjax.evaluation.panels import UNKNOWN, TokenPanel
from maskjax.models.sizes import Size, transformer_flops
from maskjax.models.tokens import MaskedTokens, TokenEncoder
from maskjax.models.transformer import Transformer
from maskjax.tasks.copies import in_turn
from maskjax.tasks.masker import MaskedTask, Masker, make_masker
from maskjax.tasks.options import NONE, check_choice, kept_blocks
from maskjax.tasks.task import Context, Output, Sums
from maskjax.typing import Array, Batch, Bool, Float, Int, Key, Params

_FOLD_LAST, _FOLD_DROPOUT = 1, 2  # keep these draws apart from the masking rule's
_NUM_GUESSES = 10  # items that a panel names


class Question(NamedTuple):
    """What the model is given and asked.

    Attributes:
        ids: items from 0, the mask's id where hidden; what stands at padding does not matter.
        is_valid: False for padding.
        places: positions that are asked for.
        answers: the items there, from 0.
        is_asked: False where a row has fewer hidden items than there are places.
        is_masked: True where hidden.
    """

    ids: Int[Array, "B L"]
    is_valid: Bool[Array, "B L"]
    places: Int[Array, "B K"]
    answers: Int[Array, "B K"]
    is_asked: Bool[Array, "B K"]
    is_masked: Bool[Array, "B L"]


@dataclasses.dataclass(frozen=True)
class HiddenItems(MaskedTask):
    """Hide items of histories, predict them among all (Sun et al. 2019, section 3.6).

    In training a share of the items is hidden, an exact count as in the authors' data preparation,
    or in some examples the last item alone, which is what a test asks. Every hidden item has a
    place in the loss. In a test a mask follows the history, and all items are ranked.

    Batches have "items" [B, L], ids from 1, padded in front with 0; to be tested also "target" [B]
    and "seen" [B, S], all that the user had before, padded with 0.

    Attributes:
        model: scores all items at chosen positions.
        masker: what is hidden of a history: a rule and a share.
        last_share: share of the training examples in which the last item alone is hidden.
        length: L.
        num_items: V.
        num_places: K, the most items that are hidden in a row.
        exclude_seen: whether a ranking leaves out what the user had before; the target stays.
        item_gate: [V], how much of each item the model sees; None = all.
        flops_per_example: see Task.
    """

    model: MaskedTokens
    masker: Masker
    last_share: float
    length: int
    num_items: int
    num_places: int
    exclude_seen: bool
    item_gate: np.ndarray | None = None
    flops_per_example: float | None = None
    needs: tuple[str, ...] = ("items",)
    loss_label: str = "cross-entropy of hidden items, nats"

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""
        row = jnp.zeros((1, self.length), jnp.int32)
        return self.model.init(key, row, row, row[:, :1])["params"]

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hide items and sum the cross-entropy over them, or rank the targets; see the class."""
        items, is_test = batch["items"], "target" in batch
        question = self._next(batch) if is_test else self._cloze(batch, context)
        logits = self._logits(params, question, context.keys if context.train else None)
        chances = jax.nn.log_softmax(logits)
        loss = -jnp.take_along_axis(chances, question.answers[..., None], axis=-1)[..., 0]
        is_row = batch.get("is_valid", jnp.ones(len(items), bool))
        weights = (question.is_asked & is_row[:, None]).astype(jnp.float32)  # [B, K]
        total = weights.sum()
        if is_test:
            ranks = ranking.ranks_of(logits[:, 0], question.answers[:, 0], self._excluded(batch))
            means = ranking.rank_means(ranks, weights[:, 0])
            return Sums((loss * weights).sum(), total, {**means})
        is_right = chances.argmax(-1) == question.answers
        is_item = (items > 0) & is_row[:, None]
        metrics: dict[str, Metric] = {
            "accuracy": Mean(jnp.where(is_right, weights, 0.0).sum(), total),
            "mask_ratio": Mean(total, is_item.sum(dtype=jnp.float32)),
        }
        rows = jnp.arange(len(items))[:, None]
        losses = jnp.zeros(items.shape).at[rows, question.places].set(loss)
        guessed = jnp.zeros(items.shape, bool).at[rows, question.places].set(is_right)
        seen = (losses, question.is_masked, is_item, batch, self._ids(items)[0], guessed)
        statistics = self.masker.statistics(*seen)
        return Sums((loss * weights).sum(), total, metrics, statistics)

    def outputs(self) -> Mapping[str, Output]:
        """What can be had of histories, nothing hidden in them.

        Returns:
            "features" [B, D], the mean of the items' vectors, and "next_item_chances" [B, V], of
            each item to come next; 0 for those that are left out.
        """

        def features(params: Params, batch: Batch, context: Context) -> Array:
            ids, is_valid = self._ids(batch["items"])
            given = (ids, is_valid.astype(jnp.int32))  # a history is one segment
            x: Any = self.model.apply(
                {"params": params}, *given, gate=self._gate(ids), method="encode"
            )
            weights = is_valid.astype(jnp.float32)[..., None]
            return (x.astype(jnp.float32) * weights).sum(1) / jnp.maximum(weights.sum(1), 1)

        return {"features": features, "next_item_chances": lambda p, b, _: self._next_chances(p, b)}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, Any]:
        """The items that the model expects next, most likely first."""
        question = self._next(batch)
        count = min(_NUM_GUESSES, self.num_items)
        chances, guesses = jax.lax.top_k(self._compiled_chances(params, batch), count)
        is_hidden, is_known = question.is_masked, question.is_valid & ~question.is_masked
        seen = jnp.where(is_known, question.ids + 1, UNKNOWN)
        true = jnp.where(is_hidden, batch["target"][:, None], seen) if "target" in batch else seen
        shape = (*seen.shape, count)
        return {
            "next_items": TokenPanel(
                seen=seen,
                true=true,
                is_hidden=is_hidden,
                is_valid=question.is_valid,
                guesses=jnp.broadcast_to(guesses[:, None] + 1, shape),
                probabilities=jnp.broadcast_to(chances[:, None], shape),
                note="items that were there before are left out" if self.exclude_seen else "",
            )
        }

    def baselines(self, data: Any, split: str) -> dict[str, float]:
        """Rank the targets of a split by popularity and by similar items, and as well as can be.

        Args:
            data: has `source(split)`, of records {"items", "target"}.
            split: which to judge.

        Returns:
            See `ranking.baselines`.
        """
        train, judged = ([*data.source(name)] for name in ("train", split))
        chances = getattr(data.source(split), "chances", lambda: None)
        return ranking.baselines(
            [np.asarray(record["items"]) - 1 for record in train],
            [np.asarray(record["items"]) - 1 for record in judged],
            np.array([record["target"] for record in judged]) - 1,
            self.num_items,
            exclude_seen=self.exclude_seen,
            chances=chances(),
        )

    def _ids(self, items: Int[Array, "B L"]) -> tuple[Int[Array, "B L"], Bool[Array, "B L"]]:
        return jnp.maximum(items - 1, 0), items > 0

    def _cloze(self, batch: Batch, context: Context) -> Question:
        """Hide a share of the items, or the last one."""
        context = in_turn(batch, context, self.masker.copies)
        ids, is_valid = self._ids(batch["items"])
        counts = masking.num_masked_from_lengths(
            is_valid.sum(1, dtype=jnp.int32), self.masker.schedule.max_ratio, max_length=self.length
        )
        some = self.masker.flags(context, batch, counts, is_valid, ids)
        rule, grid = masking.make_rule("mask_last"), (self.length,)
        last = masking.draw_chosen(rule, context.keys, grid, 1, is_candidate=is_valid)
        fold = jax.vmap(lambda key: jax.random.fold_in(key, _FOLD_LAST))(context.keys)
        is_last = jax.vmap(lambda key: jax.random.bernoulli(key, self.last_share))(fold)
        is_masked = jnp.where(is_last[:, None], last, some)
        is_asked, places = jax.lax.top_k(is_masked.astype(jnp.int32), self.num_places)
        answers = jnp.take_along_axis(ids, places, axis=1)
        hidden = masking.fill_token(ids, is_masked, self.num_items)
        return Question(hidden, is_valid, places, answers, is_asked > 0, is_masked)

    def _next(self, batch: Batch) -> Question:
        """Ask what follows the history; the target is the answer where there is one."""
        ids, is_valid = self._ids(jnp.asarray(batch["items"]))
        asked = masking.sequences.append_mask_item(ids, is_valid, mask_token_id=self.num_items)
        places = jnp.argmax(asked.is_masked, axis=1).astype(jnp.int32)[:, None]
        target = jnp.asarray(batch.get("target", jnp.ones(ids.shape[0], jnp.int32)))
        answers = jnp.maximum(target - 1, 0)[:, None]
        return Question(
            asked.inputs, asked.is_valid, places, answers, answers >= 0, asked.is_masked
        )

    def _logits(
        self, params: Params, question: Question, keys: Key[Array, "B"] | None
    ) -> Float[Array, "B K V"]:
        if keys is not None:
            keys = jax.vmap(lambda key: jax.random.fold_in(key, _FOLD_DROPOUT))(keys)
        ids, is_valid, places = question[:3]
        segment_ids, gate = is_valid.astype(jnp.int32), self._gate(ids)
        logits: Any = self.model.apply(
            {"params": params}, ids, segment_ids, places, drop_keys=keys, gate=gate
        )
        return logits

    def _gate(self, ids: Int[Array, "B L"]) -> Float[Array, "B L"] | None:
        """How much of each item is seen; the mask is seen as it is."""
        return None if self.item_gate is None else jnp.append(self.item_gate, 1.0)[ids]

    def _next_chances(self, params: Params, batch: Batch) -> Float[Array, "B V"]:
        logits = self._logits(params, self._next(batch), None)[:, 0]
        is_excluded = self._excluded(batch)
        if is_excluded is None:
            return jax.nn.softmax(logits)
        chances = jax.nn.softmax(jnp.where(is_excluded, -jnp.inf, logits))
        return jnp.where(is_excluded, 0.0, chances)  # of who had all there is, every one is NaN

    @functools.cached_property
    def _compiled_chances(self) -> Callable[..., Array]:
        return jax.jit(self._next_chances)

    def _excluded(self, batch: Batch) -> Bool[Array, "B V"] | None:
        """True for what the user had before, where that is left out of rankings."""
        if not self.exclude_seen:
            return None
        seen = jnp.asarray(batch["seen"] if "seen" in batch else batch["items"])
        flags = jnp.zeros((seen.shape[0], self.num_items + 1), bool)
        return flags.at[jnp.arange(seen.shape[0])[:, None], seen].set(True)[:, 1:]


def build(config: Any, data: Any) -> HiddenItems:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model", "mask" and "eval" are read.
        data: its processor has `num_items` and `length`.

    Returns:
        The task.

    Raises:
        ValueError: a rule, share, size or dtype that does not fit; the message names the key.
    """
    model, mask, processor = config.model, config.mask, data.processor
    check_choice("mask.schedule", mask.schedule, ("constant",))
    check_choice("mask.fill", mask.fill, ("token",))
    if mask.rule == NONE:
        raise ValueError(f"mask.rule {NONE!r} leaves nothing to predict: use 'random'")
    if not 0 <= model.dropout < 1:
        raise ValueError(f"model.dropout {model.dropout} must be at least 0 and below 1")
    check_choice("model.dtype", model.dtype, ("float32", "bfloat16"))
    check_choice("model.attention", model.attention, masking.attention.IMPLEMENTATIONS)
    if not 0 <= mask.last_share <= 1:
        raise ValueError(f"mask.last_share {mask.last_share} must be from 0 to 1")
    if model.width % model.heads:
        raise ValueError(
            f"model.width {model.width} is not a multiple of model.heads {model.heads}"
        )
    dtype = jnp.dtype(model.dtype)
    length, num_items = processor.length, processor.num_items
    masker = make_masker(config, (length,), data, modality="sequence", num_ids=num_items)
    size = Size(model.width, model.depth, model.heads)
    kept = kept_blocks(model, "model", size)
    blocks = Transformer(model.depth, model.heads, dtype=dtype, dropout_rate=model.dropout)
    blocks = blocks.clone(attention=model.attention, remat=model.remat, kept=kept)
    encoder = TokenEncoder(
        num_items + 1, model.width, blocks, length, dropout_rate=model.dropout, dtype=dtype
    )
    (num_places,) = masking.num_masked_from_lengths(
        jnp.array([length]), mask.ratio, max_length=length
    ).tolist()
    head = num_places * 2.0 * model.width * (model.width + num_items)
    return HiddenItems(
        model=MaskedTokens(encoder, num_items, dtype),
        masker=masker,
        last_share=mask.last_share,
        length=length,
        num_items=num_items,
        num_places=num_places,
        exclude_seen=config.eval.exclude_seen,
        item_gate=getattr(processor, "gate", None),
        flops_per_example=3 * (transformer_flops(size, length, kept=kept) + head),
    )
