"""Heads of a masked language model: which matter, and what it is without some."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.evaluation.metrics import Mean
from maskjax.masking import heads
from maskjax.tasks import mlm
from maskjax.tasks.options import check_choice
from maskjax.tasks.task import Context, Output, Sums
from maskjax.tasks.text_masks import make_text_masks
from maskjax.typing import Array, Batch, Bool, Float, Params

ORDERS = ("importance", "random")
_IMPORTANCE = "head_importance"
_KERNELS = r"block(\d+)/attn/(value/kernel|value/bias|out/kernel)$"


@dataclasses.dataclass(frozen=True)
class PrunedText(mlm.MaskedText):
    """A masked language model that another run trained, without the heads that matter least.

    The importance of a head is E |dLoss / dxi|, xi what its output is multiplied by, at 1, over the
    training examples, divided by the norm of its block's (Michel et al. 2019, Are Sixteen Heads
    Really Better than One?, section 4.1). The least important heads of all blocks go before step 0;
    evaluations measure it of those that are left, before the division: "importance/BLOCK.HEAD".

    A head goes with its columns of the value kernel and its rows of the output kernel, which become
    zeros: it gives nothing, and their gradients are zeros, so that it stays away in whatever is
    trained from there.

    Attributes:
        num_pruned: heads that go.
        order: which first, those of the least "importance", or "random" ones.
        seed: of random ones.
        once: see Task.
    """

    num_pruned: int = 0
    order: str = "importance"
    seed: int = 0
    once: str = _IMPORTANCE

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks, and heads of each."""
        return self.architecture.size.depth, self.architecture.size.num_heads

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hide tokens and sum the cross-entropy over them, and how much it depends on each head."""
        sums, importance = self._measured(params, batch, context)
        is_row = jnp.asarray(batch["is_valid"])[:, None, None]
        totals, count = jnp.where(is_row, importance, 0.0).sum(0), is_row.sum(dtype=jnp.float32)
        measured = {
            f"importance/{block}.{head}": Mean(totals[block, head], count)
            for block, head in np.ndindex(*self.shape)
        }
        return sums._replace(metrics={**sums.metrics, **measured})

    def outputs(self) -> Mapping[str, Output]:
        """Beside those of `MaskedText` "head_importance" [B, depth, H], |dLoss / dxi| of each.

        The loss is the mean over the hidden tokens of the example, which are those of evaluations.
        """
        measure = lambda *given: self._measured(*given)[1]  # noqa: E731
        return {**super().outputs(), _IMPORTANCE: measure}

    def _measured(
        self, params: Params, batch: Batch, context: Context
    ) -> tuple[Sums, Float[Array, "B depth H"]]:
        question = self.masks.question(batch, dataclasses.replace(context, train=False))

        def loss(xi: Array) -> tuple[Array, Sums]:
            sums = self._sums(params, batch, question, context, head_weights=xi)
            return sums.loss, sums

        # Each example has weights of its own: the gradient of the sum is that of each loss.
        ones = jnp.ones((len(batch["tokens"]), *self.shape))
        gradients, sums = jax.grad(loss, has_aux=True)(ones)
        counts = question.is_asked.sum(1, dtype=jnp.float32)[:, None, None]
        return sums, abs(gradients) / jnp.maximum(counts, 1)

    def begin(self, params: Params, rows: Float[np.ndarray, "N depth H"]) -> Params:
        """Leave heads out.

        Args:
            params: of a trained model.
            rows: the importance of each head in each training example.
        """
        scores = heads.normalize_layers(jnp.asarray(rows).mean(0))
        if self.order == "random":
            scores = jax.random.uniform(jax.random.key(self.seed), self.shape)
        return without_heads(params, np.asarray(heads.cut_heads(scores, self.num_pruned)))


def without_heads(params: Params, is_kept: Bool[np.ndarray, "depth H"]) -> Params:
    """Set to zero what reads and gives heads.

    Args:
        params: of a model with blocks "blockNN".
        is_kept: which heads of each stay.
    """

    def cut(path: Any, leaf: Array) -> Array:
        found = re.search(_KERNELS, jax.tree_util.keystr(path, simple=True, separator="/"))
        if not found:
            return leaf
        kept = is_kept[int(found[1])]
        axis = 0 if found[2] == "out/kernel" else leaf.ndim - 1
        flags = np.repeat(kept, leaf.shape[axis] // len(kept))
        return jnp.where(flags[:, None] if axis == 0 and leaf.ndim > 1 else flags, leaf, 0.0)

    return jax.tree_util.tree_map_with_path(cut, params)


def build(config: Any, data: Any) -> PrunedText:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model", "mask" and "seed" are read.
        data: its processor has `max_length` and `tokenizer`.

    Raises:
        ValueError: steps that are to be trained, heads that there are not, or what `mlm.build`
            refuses; the message names the key.
    """
    if config.total_steps:
        raise ValueError(
            f"task 'head_pruning' trains nothing, and total_steps is {config.total_steps}: set it"
            " to 0, and train what is left by a run of mlm that starts from this one"
        )
    model = config.model
    check_choice("model.prune_order", model.prune_order, ORDERS)
    parts = mlm.text_parts(config, data, make_text_masks(config, data))
    parts["heads"] = None  # which change in training alone
    made = PrunedText(
        **parts,
        num_pruned=model.prune_heads,
        order=model.prune_order,
        seed=config.seed,
    )
    if made.architecture.kept:
        raise ValueError(
            "task 'head_pruning' is for blocks with as many heads each, and this network lost some "
            "already (model.kept): give the run that it was made of"
        )
    most = made.shape[0] * made.shape[1]
    if not 0 <= made.num_pruned <= most:
        raise ValueError(f"model.prune_heads {made.num_pruned} must be from 0 to the {most} heads")
    return made
