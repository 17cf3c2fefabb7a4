"""Hidden tokens of texts: masked language models (Devlin et al. 2019)."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import masking
from maskjax.evaluation import ngrams
from maskjax.evaluation.metrics import Mean, Metric, Perplexity
from maskjax.evaluation.panels import UNKNOWN, TokenPanel
from maskjax.models.text import model_of, text_flops
from maskjax.models.tokens import MaskedTokens
from maskjax.tasks.masker import MaskedTask, Masker
from maskjax.tasks.task import Context, Output, Sums
from maskjax.tasks.text_masks import Question, TextMasks, Vocabulary, make_text_masks
from maskjax.tasks.text_model import computing, text_architecture
from maskjax.typing import Array, Batch, Float, Key, Params

_FOLD_DROPOUT = 2  # keeps these draws apart from the masking rule's
_NUM_GUESSES = 5  # tokens that a panel names
_MOST_COUNTED = 2**24  # tokens that the baselines count


@dataclasses.dataclass(frozen=True)
class MaskedText(MaskedTask):
    """Hide tokens, predict them among all; `TextMasks` says which.

    Attributes:
        model: scores all tokens at chosen positions.
        masks: what is hidden of a row.
        architecture: of the encoder.
        flops_per_example: see Task.
    """

    model: MaskedTokens
    masks: TextMasks
    architecture: Any = None
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
        question = self.masks.question(batch, context)
        tokens = batch["tokens"]
        logits = self._logits(params, batch, question, context.keys if context.train else None)
        answers = jnp.take_along_axis(tokens, question.places, axis=1)
        chances = jax.nn.log_softmax(logits)
        loss = -jnp.take_along_axis(chances, answers[..., None], axis=-1)[..., 0]
        is_row = batch.get("is_valid", jnp.ones(len(tokens), bool))
        weights = (question.is_asked & is_row[:, None]).astype(jnp.float32)  # [B, K]
        total, nats = weights.sum(), (loss * weights).sum()
        is_token = ~batch["is_special"] & is_row[:, None]
        is_right = chances.argmax(-1) == answers
        metrics: dict[str, Metric] = {
            "accuracy": Mean(jnp.where(is_right, weights, 0.0).sum(), total),
            "perplexity": Perplexity(nats, total),
            "mask_ratio": Mean(total, is_token.sum(dtype=jnp.float32)),
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
        """What the model fills into the holes, the likeliest first.

        Mask tokens that stand in a text are holes too; without any, tokens are hidden as in an
        evaluation.
        """
        tokens = jnp.asarray(batch["tokens"])
        is_hole = tokens == self.vocabulary.mask
        has_holes = bool(is_hole.any())
        if has_holes:
            hidden, true = is_hole, jnp.where(is_hole, UNKNOWN, tokens)
        else:
            hidden = self.masks.question(batch, dataclasses.replace(context, train=False)).is_masked
            true = tokens
        chances, guesses = self._filled(params, dict(batch), hidden)
        return {
            "fill": TokenPanel(
                seen=jnp.where(hidden, UNKNOWN, tokens),
                true=true,
                is_hidden=hidden,
                is_valid=~jnp.asarray(batch["is_special"]) | hidden,
                guesses=guesses,
                probabilities=chances,
            )
        }

    @functools.cached_property
    def _filled(self) -> Callable[..., tuple[Array, Array]]:
        """(params, batch, hidden) -> chances and ids of the likeliest tokens at every position."""

        def filled(params: Params, batch: Batch, hidden: Array) -> tuple[Array, Array]:
            ids = masking.fill_token(batch["tokens"], hidden, self.vocabulary.mask)
            every = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
            question = Question(ids, hidden, every, hidden)
            logits = self._logits(params, batch, question, None)
            special = jnp.array(self.vocabulary.special, jnp.int32)
            logits = logits.at[..., special].set(-jnp.inf)  # no guess for a person to read
            count = min(_NUM_GUESSES, self.vocabulary.size - len(self.vocabulary.special))
            chances, guesses = jax.lax.top_k(jax.nn.softmax(logits), count)
            return chances, guesses

        return jax.jit(filled)

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
        self, params: Params, batch: Batch, question: Question, keys: Key[Array, "B"] | None
    ) -> Float[Array, "B K V"]:
        if keys is not None:
            keys = jax.vmap(lambda key: jax.random.fold_in(key, _FOLD_DROPOUT))(keys)
        given = (question.ids, batch["segment_ids"], question.places, batch["positions"])
        types = batch.get("token_types")
        logits: Any = self.model.apply({"params": params}, *given, types, keys)
        return logits


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
    length, masks = data.processor.max_length, make_text_masks(config, data)
    architecture = text_architecture(config.model, masks.vocabulary.size, length)
    return MaskedText(
        model=model_of(architecture, **computing(config.model)),
        masks=masks,
        architecture=architecture,
        flops_per_example=text_flops(architecture, length, masks.most),
    )
