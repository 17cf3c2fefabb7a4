"""What masked diffusion hides of a text: every token of a row with the same chance."""

import dataclasses

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.masking.text import diffusion_ratio, diffusion_weights
from maskjax.tasks.masker import Masker
from maskjax.tasks.task import Context
from maskjax.tasks.text_masks import Question, Vocabulary
from maskjax.typing import Array, Batch, Float, Int, Key

_FOLD_SHARE = 4  # keeps the draw of the first share apart from those of the masks


@dataclasses.dataclass(frozen=True)
class DiffusionMasks:
    """Hides tokens of rows; special tokens and padding never.

    In training a row has a chance t, uniform on (0, 1), each token is hidden with it, and its loss
    weighs 1 / t (Nie et al. 2025, LLaDA, equation 3; Sahoo et al. 2024, MDLM): over all tokens a
    bound on -log p. Shares of a batch may be spread evenly over (0, 1), which makes the gradient
    less noisy (MDLM, released code).

    In an evaluation an exact number l of the n tokens is hidden, and the loss weighs n / l (LLaDA,
    equation 6): the same bound, for where all of 1 ... n are as likely, the mean over them equals
    that over t. Each row is judged at `draws` of them, spread evenly from a fixed place of its own.

    Attributes:
        masker: the rule, and the bounds of t.
        vocabulary: ids.
        eps: the least t.
        batch_size: rows of a training batch, over which t is spread; 0 = each row draws its own.
        draws: hidden versions of each row in an evaluation.
    """

    masker: Masker
    vocabulary: Vocabulary
    eps: float = 1e-3
    batch_size: int = 0
    draws: int = 8

    @property
    def most(self) -> int:
        """The most tokens that training hides in a row."""
        return self.masker.length

    def question(self, batch: Batch, context: Context, draw: int | Int[Array, ""] = 0) -> Question:
        """Hide tokens of a batch, in the way of training or of evaluations.

        Args:
            batch: "tokens", "is_special".
            context: keys, whether this is training, and then the place of each row in its batch.
            draw: which of an evaluation's versions.
        """
        shape = jnp.shape(batch["tokens"])[1:]
        if shape != self.masker.grid:  # where lengths come in buckets
            masker = dataclasses.replace(self.masker, grid=shape)
            return dataclasses.replace(self, masker=masker).question(batch, context, draw)
        if context.train:
            return self._trained(batch, context)
        return self._judged(batch, context.keys, draw)

    def _trained(self, batch: Batch, context: Context) -> Question:
        is_candidate = ~jnp.asarray(batch["is_special"])
        index = context.index if self.batch_size else None
        spread = {} if index is None else {"index": index, "batch_size": self.batch_size}
        ratio = diffusion_ratio(context.keys, eps=self.eps, **spread)
        is_masked = masking.draw_chosen(
            self.masker.rule, context.keys, self.masker.grid, self.most,
            probabilities=ratio, is_candidate=is_candidate,
        )  # fmt: skip
        return self._asked(batch, is_masked, diffusion_weights(is_masked, ratio).loss_weights)

    def _judged(self, batch: Batch, keys: Key[Array, "B"], draw: int | Int[Array, ""]) -> Question:
        is_candidate = ~jnp.asarray(batch["is_special"])
        lengths = is_candidate.sum(1, dtype=jnp.int32)
        first = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, _FOLD_SHARE)))(keys)
        counts = jnp.floor(lengths * (draw + first) / self.draws).astype(jnp.int32) + 1
        counts = jnp.minimum(counts, lengths)
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, draw)
        is_masked = masking.draw_counts(
            masking.make_rule("random"), keys, self.masker.grid, counts, is_candidate=is_candidate
        )
        weights = lengths / jnp.maximum(counts, 1)
        return self._asked(batch, is_masked, jnp.where(is_masked, weights[:, None], 0.0))

    def _asked(self, batch: Batch, is_masked: Array, weights: Float[Array, "B L"]) -> Question:
        """Ask every place, of which those that are hidden count."""
        tokens = jnp.asarray(batch["tokens"])
        ids = masking.fill_token(tokens, is_masked, self.vocabulary.mask)
        places = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
        return Question(ids, is_masked, places, is_masked, weights)
