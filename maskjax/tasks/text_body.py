"""Bodies that read texts: an encoder of tokens with a head for the text, or for each token."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.evaluation import bag_of_words
from maskjax.evaluation.panels import UNKNOWN, ClassPanel
from maskjax.evaluation.probes import largest_class_accuracy
from maskjax.models.text import FORMS, TextArchitecture, text_flops
from maskjax.models.text_head import EACH, POOLS, Bag, TextHead, TextWithHead, with_head
from maskjax.tasks.body import ALWAYS, Body, Seen, check_hiding
from maskjax.tasks.masker import Masker
from maskjax.tasks.options import check_choice
from maskjax.tasks.task import Context
from maskjax.tasks.text_masks import TextMasks, make_text_masks
from maskjax.tasks.text_model import computing, text_architecture
from maskjax.typing import Array, Batch, Bool, Float, Int, Key, Params

BAG = "bag"  # a form of the model: embeddings and their mean
FILLS = ("token", "drop", "gate")
_BAG_WIDTH = 16
_FOLD_DROPOUT = 2  # keeps these draws apart from the masking rule's
_FOLD_GATE = 3  # and these


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextBody(Body):
    """A text encoder of which tokens may be hidden, by any rule.

    What is hidden of a text is, as in pretraining, a function of (seed, epoch, text).

    Attributes:
        model: encoder and head.
        masks: which tokens are hidden, special ones and padding never.
        fill: what they become: "token", as `mask.split` says; "drop", they leave the attention and
            means; "gate", by which every token is seen in part.
        when: "training" or "always".
        flops_per_example: matrix-product FLOPs of a training step, forward and backward.
        architecture: of the encoder; None for a bag of words.
        keywords: tokens of words that are seen half as much as the others of a text, whose own
            share is drawn anew for each text from [0, 1); () = all words are seen whole.
        has_pairs: whether texts are pairs.
    """

    model: TextWithHead
    masks: TextMasks
    fill: str
    when: str
    flops_per_example: float
    architecture: TextArchitecture | None = None
    keywords: tuple[tuple[int, ...], ...] = ()
    has_pairs: bool = False
    needs: tuple[str, ...] = ("tokens", "segment_ids", "positions", "is_special", "word_ids")
    can_mix: bool = False
    begins_anew: tuple[str, ...] = ("^head/",)
    leaves_out: tuple[str, ...] = ("^(dense|norm)/", "^bias$")

    @property
    def masker(self) -> Masker:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What is hidden."""
        return self.masks.masker

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""
        row = jnp.ones((1, self.masker.length), jnp.int32)
        return self.model.init(key, row, row)["params"]

    def __call__(self, params: Params, batch: Batch, context: Context) -> Seen:
        """Predict from what is left to see."""
        tokens, segments = jnp.asarray(batch["tokens"]), jnp.asarray(batch["segment_ids"])
        is_masked, ids = jnp.zeros(tokens.shape, bool), tokens
        if self.is_hiding(context):
            question = self.masks.question(batch, self._as_in_training(context))
            is_masked = question.is_masked
            if self.fill == "token":
                ids = question.ids
            elif self.fill == "drop":
                segments = jnp.where(is_masked, 0, segments)
        keys = None
        if context.train:
            keys = jax.vmap(lambda key: jax.random.fold_in(key, _FOLD_DROPOUT))(context.keys)
        given = (ids, segments, jnp.asarray(batch["positions"]), batch.get("token_types"), keys)
        gate = self._gate(batch, context)
        found: Any = self.model.apply({"params": params}, *given, gate=gate)
        is_counted = ~jnp.asarray(batch["is_special"])
        return Seen(found[0], found[1], is_masked, is_counted, tokens)

    def _as_in_training(self, context: Context) -> Context:
        """In evaluation masks follow nothing."""
        if context.train:
            return context
        return dataclasses.replace(context, train=True, memory=self.masker.start())

    def _gate(self, batch: Batch, context: Context) -> Float[Array, "B L"] | None:
        """How much of each token is seen; None where all are seen whole."""
        tokens, gate = jnp.asarray(batch["tokens"]), None
        if self.fill == "gate" and (context.train or self.when == ALWAYS):
            seen = self._as_in_training(context)
            gate = self.masker.gate(seen, len(tokens), tokens)
            gate = jnp.where(jnp.asarray(batch["is_special"]), 1.0, gate)
        if self.keywords:
            keys = context.keys if context.document_keys is None else context.document_keys
            draw = lambda key: jax.random.uniform(jax.random.fold_in(key, _FOLD_GATE))  # noqa: E731
            is_keyword = keyword_flags(tokens, jnp.asarray(batch["word_ids"]), self.keywords)
            own = jax.vmap(draw)(keys)[:, None] * jnp.where(is_keyword, 0.5, 1.0)
            gate = own if gate is None else gate * own
        return gate

    def example(self, count: int) -> Batch:
        """Rows of one token, over and over."""
        shape = (count, self.masker.length)
        places = jnp.broadcast_to(jnp.arange(shape[1]), shape)
        ones = jnp.ones(shape, jnp.int32)
        found: dict[str, Any] = {"tokens": 0 * ones, "segment_ids": ones, "positions": places}
        found |= {"word_ids": places, "is_special": jnp.zeros(shape, bool)}
        return found | ({"token_types": 0 * ones} if self.has_pairs else {})

    def panel(self, batch: Batch, labels: Any, chances: Array, names: Sequence[str]) -> ClassPanel:
        """Show the tokens."""
        return ClassPanel(shown(batch), labels, chances, names)

    @functools.cached_property
    def _learned(self) -> dict[str, bag_of_words.Judge]:
        return {}

    def baselines(self, data: Any, split: str) -> Mapping[str, float]:
        """Judge bags of words, and the largest class, where texts have one class each."""
        train, judged = data.source("train"), data.source(split)
        labels, true = train.labels(), judged.labels()
        if labels is None or true is None or self.model.pool == EACH:
            return {}
        key = train.fingerprint()
        if key not in self._learned:  # once for all splits
            self._learned[key] = bag_of_words.learned(_words(train), labels)
        return self._learned[key](_words(judged), true) | {
            "largest_class_accuracy": largest_class_accuracy(labels, true)
        }


def _words(source: Any) -> list[list[str]]:
    """The words of each text of a split; of more than are learned from, none."""
    if len(source) > bag_of_words.MOST_TEXTS:
        return [[]] * len(source)
    return [bag_of_words.words_of(source[i]["pieces"]) for i in range(len(source))]


def shown(batch: Batch) -> Int[Array, "B L"]:
    """The tokens of texts, `UNKNOWN` in place of special ones."""
    return jnp.where(jnp.asarray(batch["is_special"]), UNKNOWN, jnp.asarray(batch["tokens"]))


def keyword_flags(
    tokens: Int[Array, "B L"], word_ids: Int[Array, "B L"], keywords: Sequence[Sequence[int]]
) -> Bool[Array, "B L"]:
    """Find words.

    Args:
        tokens: ids.
        word_ids: of each token its word; -1 for none.
        keywords: the ids that each wanted word is made of.

    Returns:
        True at all tokens of such a word.
    """

    def moved(x: Array, by: int) -> Array:
        """What stands so many places behind, -2 beyond the ends."""
        padded = jnp.pad(x, ((0, 0), (max(-by, 0), max(by, 0))), constant_values=-2)
        return padded[:, max(by, 0) :][:, : x.shape[1]]

    found = jnp.zeros(tokens.shape, bool)
    is_first = (word_ids >= 0) & (moved(word_ids, -1) != word_ids)
    for ids in keywords:
        is_here = is_first & (moved(word_ids, len(ids)) != word_ids)
        for place, i in enumerate(ids):
            is_here &= (moved(tokens, place) == i) & (moved(word_ids, place) == word_ids)
        for place in range(len(ids)):
            found |= moved(is_here.astype(jnp.int32), -place) == 1
    return found


def text_body(config: Any, data: Any, num_outputs: int, *, is_each: bool = False) -> TextBody:
    """Make a text encoder with a head.

    Args:
        config: the whole config; "model", "mask", "seed" and "total_steps" are read.
        data: its processor has `tokenizer`, `max_length`, `layout` and `has_pairs`.
        num_outputs: of the head.
        is_each: whether it reads each token, and not the text as a whole.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    model, mask, processor = config.model, config.mask, data.processor
    check_hiding(mask, FILLS)
    check_choice("model.form", model.form, (*FORMS, BAG))
    if processor.layout != "whole":
        raise ValueError(
            f"data.layout {processor.layout!r} cuts texts in pieces, and one class or tag is of a "
            "whole one: set it to 'whole'"
        )
    masks = make_text_masks(config, data, fills=FILLS, is_needed=False)
    size, length = masks.vocabulary.size, processor.max_length
    pool = EACH if is_each else model.pool
    check_choice("model.pool", pool, (*POOLS, EACH) if is_each else POOLS)
    if pool == "class" and not processor.tokenizer.frame.before:
        raise ValueError(
            "model.pool 'class' reads the token in front of a text, and this tokenizer puts none "
            "there: set it to 'mean'"
        )
    options, architecture = computing(model), None
    if model.form == BAG:
        head = TextHead(num_outputs, dropout_rate=options["dropout"])
        width = model.width or _BAG_WIDTH
        made = TextWithHead(Bag(size, width), head, EACH if is_each else "mean")
        flops = 0.0
    else:
        architecture = text_architecture(model, size, length)
        architecture = dataclasses.replace(architecture, pool=pool)
        made = with_head(architecture, num_outputs, **options)
        width, flops = architecture.size.width, text_flops(architecture, length, 0)
    places = length if is_each else 1
    inner = width if made.head.between else 0
    return TextBody(
        model=made,
        masks=masks,
        fill=mask.fill,
        when=mask.when,
        flops_per_example=flops + 6.0 * places * width * (inner + num_outputs),
        architecture=architecture,
        keywords=_keywords(model.keywords, processor.tokenizer),
        has_pairs=processor.has_pairs,
    )


def _keywords(words: Sequence[str], tokenizer: Any) -> tuple[tuple[int, ...], ...]:
    """Read `model.keywords`: the tokens of each word."""
    found = [tuple(each.ids.tolist()) for each in tokenizer.encode(list(words))] if words else []
    for word, ids in zip(words, found):
        if not ids:
            raise ValueError(f"model.keywords {word!r} has no token: leave it out")
    return tuple(found)
