"""What is hidden of a text: fresh masks or a few fixed ones, and what hidden tokens become."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.tasks.copies import in_epoch
from maskjax.tasks.masker import Masker, make_masker
from maskjax.tasks.options import NONE, check_choice
from maskjax.tasks.task import Context
from maskjax.typing import Array, Batch, Bool, Float, Int

EVAL_RATIO = 0.15


class Vocabulary(NamedTuple):
    """What a task knows of a tokenizer.

    Attributes:
        size: V.
        mask: id of the mask token.
        special: ids that are never hidden.
        unknown: id of words that the tokenizer lacks; -1 where it has none.
    """

    size: int
    mask: int
    special: tuple[int, ...]
    unknown: int = -1


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """Read what a task knows of a tokenizer."""
    specials, special = tokenizer.specials, tuple(tokenizer.special_ids)
    unknown = -1 if specials.unk is None else specials.unk
    return Vocabulary(tokenizer.vocab_size, specials.mask, special, unknown)


class Question(NamedTuple):
    """What the model is given and asked.

    Attributes:
        ids: tokens, of which hidden ones are others now.
        is_masked: True where hidden.
        places: positions that are asked for.
        is_asked: False where a row has fewer hidden tokens than there are places.
        weights: of the loss at the places, which then is over all tokens; None = 1, over the hidden
            ones.
    """

    ids: Int[Array, "B L"]
    is_masked: Bool[Array, "B L"]
    places: Int[Array, "B K"]
    is_asked: Bool[Array, "B K"]
    weights: Float[Array, "B K"] | None = None


# How many tokens a rule hides in its paper; others as Devlin et al. 2019.
_COUNTS = {"spans": masking.text.spanbert_num_masked, "t5_spans": masking.text.t5_num_masked}


@dataclasses.dataclass(frozen=True)
class TextMasks:
    """Hides tokens of rows; special tokens and padding never.

    In training the mask of a row is a function of (seed, epoch, row): fresh in each epoch (Liu et
    al. 2019, RoBERTa, section 4.1), or one of `masker.copies` fixed ones in turn (Devlin et al.
    2019). Of what is hidden `split` becomes the mask token, any token of the vocabulary, or stays.

    An evaluation hides the same of the same rows, whatever a run trains by: `eval_ratio` of the
    tokens at random, all of them behind the mask token.

    Attributes:
        masker: the rule of training, and its share.
        vocabulary: ids.
        split: shares of the mask token, random tokens, and no change.
        eval_ratio: share of the tokens that is hidden in evaluations.
        rule: the name of the rule. "whole_word" hides whole words alone, at most the share and not
            exactly it; "spans" and "t5_spans" count as SpanBERT and T5 do, and the tokens of one of
            SpanBERT's spans become all the mask token, all random, or all stay (Joshi et al. 2020).
        has_units: whether words are collocations (`data.units`), which become something else as a
            whole too (Levine et al. 2021).
    """

    masker: Masker
    vocabulary: Vocabulary
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    eval_ratio: float = EVAL_RATIO
    rule: str = "random"
    has_units: bool = False

    @property
    def most(self) -> int:
        """The most tokens that training hides in a row."""
        lengths = jnp.array([self.masker.length])
        return self._counts(lengths, self.masker.schedule.max_ratio, self.rule)[1]

    def question(self, batch: Batch, context: Context) -> Question:
        """Hide tokens of a batch, in the way of training or of evaluations.

        Args:
            batch: "tokens", "is_special"; "epoch" in training; "word_ids" for rules of words.
            context: keys, step, memory, and whether this is training.
        """
        tokens = jnp.asarray(batch["tokens"])
        if tokens.shape[1] != self.masker.length:  # where lengths come in buckets
            masker = dataclasses.replace(self.masker, grid=tokens.shape[1:])
            return dataclasses.replace(self, masker=masker).question(batch, context)
        is_candidate = ~jnp.asarray(batch["is_special"])
        lengths = is_candidate.sum(1, dtype=jnp.int32)
        context = in_epoch(batch, context, self.masker.copies)
        if context.train:
            is_masked, ids, most = self._trained(batch, context, is_candidate, lengths)
        else:
            counts, most = self._counts(lengths, self.eval_ratio)
            rule, grid = masking.make_rule("random"), self.masker.grid
            given = (context.keys, grid, counts)
            is_masked = masking.draw_counts(rule, *given, is_candidate=is_candidate)
            ids = masking.fill_token(tokens, is_masked, self.vocabulary.mask)
        is_asked, at = jax.lax.top_k(is_masked.astype(jnp.int32), most)
        return Question(ids, is_masked, at, is_asked > 0)

    def _trained(
        self, batch: Batch, context: Context, is_candidate: Array, lengths: Array
    ) -> tuple[Array, Array, int]:
        """What is hidden in training, what stands there then, and the most of a row."""
        tokens, schedule = jnp.asarray(batch["tokens"]), self.masker.schedule
        counts, most = self._counts(lengths, schedule.max_ratio, self.rule)
        if schedule.min_ratio != schedule.max_ratio:
            counts = self._moving_counts(lengths, context, most)
        given = (context, batch, counts, is_candidate, tokens)
        is_masked = self.masker.flags(*given, is_whole=self.rule == "whole_word")
        ids = masking.text.corrupt_tokens(
            tokens,
            is_masked,
            context.keys,
            mask_token_id=self.vocabulary.mask,
            vocab_size=self.vocabulary.size,
            split=self.split,
            unit_ids=self._units(batch, is_masked),
        )
        return is_masked, ids, most

    def _units(self, batch: Batch, is_masked: Array) -> Array | None:
        """What becomes something else as a whole; None where each token does by itself."""
        if self.rule == "spans":
            return masking.text.run_ids(is_masked)
        if self.has_units and self.rule == "whole_word":
            return jnp.asarray(batch["word_ids"])
        return None

    def _counts(
        self, lengths: Int[Array, "B"], ratio: float, rule: str = ""
    ) -> tuple[Int[Array, "B"], int]:
        """Hidden tokens of each row, and the most of any."""
        length = self.masker.length
        count_of = _COUNTS.get(rule, masking.num_masked_from_lengths)
        count = functools.partial(count_of, ratio=ratio, max_length=length)
        with jax.ensure_compile_time_eval():
            most = int(count(jnp.array([length]))[0])
        return count(lengths), most

    def _moving_counts(
        self, lengths: Int[Array, "B"], context: Context, most: int
    ) -> Int[Array, "B"]:
        """Counts of a ratio that is known only in the step."""
        ratio = jax.vmap(lambda key: self.masker.schedule.ratio(context.step, key))(context.keys)
        counts = jnp.round(lengths * ratio).astype(jnp.int32)
        return jnp.where(lengths > 0, jnp.clip(counts, 1, most), 0)


def make_text_masks(
    config: Any, data: Any, *, fills: Sequence[str] = ("token",), is_needed: bool = True
) -> TextMasks:
    """Make the masks of a config.

    Args:
        config: the whole config; "mask" is read.
        data: its processor has `max_length` and `tokenizer`.
        fills: what hidden tokens may become.
        is_needed: whether there is nothing to do where no rule hides.

    Raises:
        ValueError: a rule or share that does not fit; the message names the key.
    """
    mask, processor = config.mask, data.processor
    check_choice("mask.fill", mask.fill, fills)
    if mask.rule == NONE and is_needed:
        raise ValueError(f"mask.rule {NONE!r} leaves nothing to predict: use 'random'")
    eval_ratio = mask.get("eval_ratio", EVAL_RATIO)
    if not 0 < eval_ratio < 1:
        raise ValueError(f"mask.eval_ratio {eval_ratio} must lie strictly between 0 and 1")
    split = tuple(map(float, mask.split))
    if len(split) != 3 or min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"mask.split {split} must be 3 shares that sum to 1: 0.8,0.1,0.1")
    length, vocabulary = processor.max_length, vocabulary_of(processor.tokenizer)
    return TextMasks(
        masker=make_masker(config, (length,), data, modality="text", num_ids=vocabulary.size),
        vocabulary=vocabulary,
        split=split,
        eval_ratio=eval_ratio,
        rule=mask.rule,
        has_units=bool(getattr(processor, "units", "")),
    )
