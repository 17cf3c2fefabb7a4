"""Hidden tokens of texts: masked language models (Devlin et al. 2019)."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.evaluation import ngrams
from maskjax.evaluation.metrics import Mean, Metric, Perplexity
from maskjax.evaluation.panels import UNKNOWN, TextPanel, TokenPanel
from maskjax.models.text import model_of, text_flops
from maskjax.models.tokens import MaskedTokens
from maskjax.tasks.diffusion_masks import DiffusionMasks
from maskjax.tasks.head_masks import HeadMasks, head_masks
from maskjax.tasks.masker import MaskedTask, Masker
from maskjax.tasks.task import Context, Output, Sums
from maskjax.tasks.text_masks import Question, TextMasks, Vocabulary, make_text_masks
from maskjax.tasks.text_model import computing, text_architecture
from maskjax.tasks.unmask import ONE_BY_ONE, How, Writer, Written
from maskjax.typing import Array, Batch, Bool, Float, Key, Params

_FOLD_DROPOUT = 2  # keeps these draws apart from the masking rule's
_MOST_COUNTED = 2**24  # tokens that the baselines count


@dataclasses.dataclass(frozen=True)
class MaskedText(MaskedTask):
    """Hide tokens, predict them among all; `TextMasks` says which.

    Attributes:
        model: scores all tokens at chosen positions.
        masks: what is hidden of a row.
        architecture: of the encoder.
        heads: which of them see less in training; None = all see everything.
        how: holes are filled where examples are shown.
        flops_per_example: see Task.
    """

    model: MaskedTokens
    masks: TextMasks | DiffusionMasks
    architecture: Any = None
    heads: HeadMasks | None = None
    how: How = ONE_BY_ONE
    flops_per_example: float | None = None
    needs: tuple[str, ...] = ("tokens", "segment_ids", "positions", "is_special", "word_ids")
    loss_label: str = "cross-entropy of hidden tokens, nats"

    @property
    def masker(self) -> Masker:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What is hidden in training."""
        return self.masks.masker

    @property
    def vocabulary(self) -> Vocabulary:
        """Ids."""
        return self.masks.vocabulary

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""
        row = jnp.ones((1, self.masker.length), jnp.int32)
        return self.model.init(key, row, row, row[:, :1])["params"]

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hide tokens and sum the cross-entropy over them."""
        return self._sums(params, batch, self.masks.question(batch, context), context)

    def _sums(
        self, params: Params, batch: Batch, question: Question, context: Context, **heads: Any
    ) -> Sums:
        """Sum the cross-entropy over what is hidden already; see `_logits`."""
        tokens = batch["tokens"]
        logits = self._logits(params, batch, question, context, **heads)
        answers = jnp.take_along_axis(tokens, question.places, axis=1)
        chances = jax.nn.log_softmax(logits)
        loss = -jnp.take_along_axis(chances, answers[..., None], axis=-1)[..., 0]
        is_row = batch.get("is_valid", jnp.ones(len(tokens), bool))
        asked = (question.is_asked & is_row[:, None]).astype(jnp.float32)  # [B, K]
        is_token = ~batch["is_special"] & is_row[:, None]
        count, num_tokens = asked.sum(), is_token.sum(dtype=jnp.float32)
        weights, total = asked, count
        if question.weights is not None:  # of all tokens then, hidden or not
            weights, total = asked * question.weights, num_tokens
        nats = (loss * weights).sum()
        is_right = chances.argmax(-1) == answers
        metrics: dict[str, Metric] = {
            "accuracy": Mean(jnp.where(is_right, asked, 0.0).sum(), count),
            "perplexity": Perplexity(nats, total),
            "mask_ratio": Mean(count, num_tokens),
        }
        rows = jnp.arange(len(tokens))[:, None]
        losses = jnp.zeros(tokens.shape).at[rows, question.places].set(loss)
        guessed = jnp.zeros(tokens.shape, bool).at[rows, question.places].set(is_right)
        seen = (losses, question.is_masked, is_token, batch, tokens, guessed)
        return Sums(nats, total, metrics, self.masker.statistics(*seen))

    def outputs(self) -> Mapping[str, Output]:
        """What can be had of whole texts, nothing hidden in them.

        Returns:
            "features" [B, D], the mean of the vectors of what is no special token.
        """

        def features(params: Params, batch: Batch, context: Context) -> Array:
            given = (batch["tokens"], batch["segment_ids"], batch["positions"])
            types = batch.get("token_types")
            x: Any = self.model.apply({"params": params}, *given, types, method="encode")
            weights = (~batch["is_special"]).astype(jnp.float32)[..., None]
            return (x.astype(jnp.float32) * weights).sum(1) / jnp.maximum(weights.sum(1), 1)

        return {"features": features}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, Any]:
        """What the model fills into the holes, by `how`, and the texts that come of it.

        Mask tokens that stand in a text are holes; where one has none, tokens are hidden as in an
        evaluation, and all of them found at once.
        """
        tokens = jnp.asarray(batch["tokens"])
        is_hole = tokens == self.vocabulary.mask
        has_holes = np.asarray(is_hole.any(1))
        is_whole = ~has_holes & np.asarray(batch.get("is_valid", True))
        hidden, found = is_hole, None
        if has_holes.any():
            found = self.writer(params, batch, np.asarray(is_hole), context.keys, self.how)
        if is_whole.any():
            context = dataclasses.replace(context, train=False)
            is_asked = self.masks.question(batch, context).is_masked & is_whole[:, None]
            at_once = dataclasses.replace(self.how, steps=1)
            given = (params, batch, np.asarray(is_asked), context.keys, at_once)
            found = _beside(self.writer(*given), found, is_whole)
            hidden = is_hole | is_asked
        assert found is not None
        is_valid = ~jnp.asarray(batch["is_special"]) | hidden | (tokens == self.vocabulary.unknown)
        panel = TokenPanel(
            seen=jnp.where(hidden, UNKNOWN, tokens),
            true=jnp.where(is_hole, UNKNOWN, tokens),
            is_hidden=hidden,
            is_valid=is_valid,
            guesses=found.guesses,
            probabilities=found.probabilities,
        )
        written = jnp.where(is_hole, found.tokens, tokens)
        texts = {"generate": TextPanel(written, is_hole, is_valid)}
        return {"fill": panel, **(texts if has_holes.any() else {})}

    @functools.cached_property
    def writer(self) -> Writer:
        """What fills holes."""
        return Writer(self.model, self.vocabulary)

    def baselines(self, data: Any, split: str) -> dict[str, float]:
        """Predict the tokens of a split by counts of the training split; see `ngrams.baselines`.

        Args:
            data: has `source(split)`, of records {"pieces"}.
            split: which to judge.
        """
        is_special = np.zeros(self.vocabulary.size, bool)
        is_special[list(self.vocabulary.special)] = True
        train, judged = (_pieces(data.source(name)) for name in ("train", split))
        return ngrams.baselines(train, judged, self.vocabulary.size, is_special)

    def _logits(
        self, params: Params, batch: Batch, question: Question, context: Context, **heads: Any
    ) -> Float[Array, "B K V"]:
        """Scores of what is asked; heads are those of `self.heads`, or as they are told."""
        keys = None
        if context.train:
            keys = jax.vmap(lambda key: jax.random.fold_in(key, _FOLD_DROPOUT))(context.keys)
        if self.heads is not None:
            heads = self.heads.of(context) | heads
        given = (question.ids, batch["segment_ids"], question.places, batch["positions"])
        types = batch.get("token_types")
        logits: Any = self.model.apply({"params": params}, *given, types, keys, **heads)
        return logits


def _beside(whole: Written, holed: Written | None, is_whole: Bool[np.ndarray, "B"]) -> Written:
    """Rows of two answers, by whether the texts had no holes."""
    if holed is None:
        return whole
    rows = [jnp.asarray(is_whole).reshape(-1, *[1] * (x.ndim - 1)) for x in whole]
    return Written(*(jnp.where(*each) for each in zip(rows, whole, holed, strict=True)))


def _pieces(source: Any) -> Iterator[np.ndarray]:
    """Tokens of each piece of a split, up to a limit of all."""
    total = 0
    for index in range(len(source)):
        for tokens, _ in source[index]["pieces"]:
            total += len(tokens)
            if total > _MOST_COUNTED:
                return
            yield np.asarray(tokens)


def build(config: Any, data: Any) -> MaskedText:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model" and "mask" are read.
        data: its processor has `max_length` and `tokenizer`.

    Returns:
        The task.

    Raises:
        ValueError: a rule, share, size or dtype that does not fit; the message names the key.
    """
    return MaskedText(**text_parts(config, data, make_text_masks(config, data)))


def text_parts(config: Any, data: Any, masks: TextMasks | DiffusionMasks) -> dict[str, Any]:
    """Make what tasks on hidden tokens share, by the names of `MaskedText`.

    Args:
        config: the whole config; "model" and "total_steps" are read.
        data: see `build`.
        masks: what is hidden.

    Raises:
        ValueError: a size or dtype that does not fit; the message names the key.
    """
    length = data.processor.max_length
    architecture = text_architecture(config.model, masks.vocabulary.size, length)
    return {
        "model": model_of(architecture, **computing(config.model)),
        "masks": masks,
        "architecture": architecture,
        "heads": head_masks(config, architecture.size, length),
        "flops_per_example": text_flops(architecture, length, masks.most),
    }
