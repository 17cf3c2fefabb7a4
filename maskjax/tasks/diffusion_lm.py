"""Masked diffusion of texts (Nie et al. 2025, LLaDA; Sahoo et al. 2024, MDLM)."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import masking
from maskjax.evaluation.panels import TextPanel
from maskjax.tasks import mlm
from maskjax.tasks.diffusion_masks import DiffusionMasks
from maskjax.tasks.masker import Masker
from maskjax.tasks.options import check_choice
from maskjax.tasks.task import Context, Sums
from maskjax.tasks.text_masks import vocabulary_of
from maskjax.tasks.unmask import WRITING
from maskjax.typing import Array, Batch, Params

SPREADS = ("even", "independent")
_GIVEN = 12  # tokens from which it writes on


class DiffusedText(mlm.MaskedText):
    """Hide any share of a text and predict it: a model that writes, too.

    The loss, and the number of that name in evaluations, is a bound on the nats that a token takes,
    its place in its document and what frames that known; "perplexity" is its exponential.
    """

    masks: DiffusionMasks

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hide tokens and sum the weighted cross-entropy; in an evaluation several times over."""
        if context.train:
            return super().loss(params, batch, context)

        def of(draw: Array) -> Sums:
            question = self.masks.question(batch, context, draw)
            return self._sums(params, batch, question, context)

        def add(total: Sums, draw: Array) -> tuple[Sums, None]:
            return jax.tree.map(jnp.add, total, of(draw)), None

        shapes = jax.eval_shape(of, jnp.int32(0))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.scan(add, zeros, jnp.arange(self.masks.draws))[0]

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, Any]:
        """What the model fills into holes or, where there are none, how it writes on.

        It goes on from the first tokens of the first text of each row, and its text is as long.
        """
        panels = super().show(params, batch, context)
        if bool((jnp.asarray(batch["tokens"]) == self.vocabulary.mask).any()):
            return panels
        is_valid = ~np.asarray(batch["is_special"]) & (np.asarray(batch["segment_ids"]) == 1)
        is_hole = is_valid & (np.asarray(batch["positions"]) > _GIVEN)
        found = self.writer(params, batch, is_hole, context.keys, WRITING)
        return {"generate": TextPanel(found.tokens, is_hole, is_valid), "fill": panels["fill"]}

    def baselines(self, data: Any, split: str) -> dict[str, float]:
        """Predict the tokens of a split by counts, in nats a token too; see `ngrams.baselines`.

        Args:
            data: see `MaskedText`.
            split: which to judge.
        """
        found = super().baselines(data, split)
        names = [name for name in found if name.endswith("_perplexity")]
        losses = {name.replace("_perplexity", "_loss"): math.log(found[name]) for name in names}
        return found | losses


def make_diffusion_masks(config: Any, data: Any) -> DiffusionMasks:
    """Make the masks of a config.

    Args:
        config: the whole config; "mask", "batch_size" and "total_steps" are read.
        data: its processor has `max_length` and `tokenizer`.

    Raises:
        ValueError: a value that does not fit; the message names the key.
    """
    mask, length = config.mask, data.processor.max_length
    check_choice("mask.spread", mask.spread, SPREADS)
    if not 0 < mask.eps < 0.5:
        raise ValueError(f"mask.eps {mask.eps} must be above 0 and below 0.5; LLaDA has 0.001")
    if not 1 <= mask.eval_draws <= length:
        raise ValueError(
            f"mask.eval_draws {mask.eval_draws} must be from 1 to the {length} tokens of a row"
        )
    return DiffusionMasks(
        masker=Masker(
            rule=masking.make_rule("token_probabilities"),
            schedule=masking.make_schedule("uniform", low=mask.eps, high=1 - mask.eps),
            grid=(length,),
            total_steps=config.total_steps,
        ),
        vocabulary=vocabulary_of(data.processor.tokenizer),
        eps=mask.eps,
        batch_size=config.batch_size if mask.spread == "even" else 0,
        draws=mask.eval_draws,
    )


def build(config: Any, data: Any) -> DiffusedText:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model" and "mask" are read.
        data: its processor has `max_length` and `tokenizer`.

    Returns:
        The task.

    Raises:
        ValueError: a share, size or dtype that does not fit; the message names the key.
    """
    parts = mlm.text_parts(config, data, make_diffusion_masks(config, data))
    return DiffusedText(**parts, loss_label="bound on the nats of a token")
