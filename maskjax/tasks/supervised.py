"""What classification and regression share: an encoder with a head, mixing, a target an example."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.evaluation.metrics import Metric
from maskjax.models.head import WithHead
from maskjax.models.patches import grid_shape, patchify
from maskjax.tasks.mixing import GROUP, Mixing, make_mixing
from maskjax.tasks.options import patch_grid
from maskjax.tasks.task import Context, Output, Sums, Task
from maskjax.tasks.vit import build_with_head
from maskjax.typing import Array, Batch, Float, Key, Params

_FOLD_DROP_PATH = 1  # keeps drop path's draws apart from the masking rule's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised(Task):
    """Predict a target of whole examples (He et al. 2022, appendix A.1, end-to-end fine-tuning).

    In training examples are mixed and drop path is on; in evaluation nothing is drawn.

    Attributes:
        model: encoder and head.
        shape: sizes of one example, channels last.
        patch_size: one side an axis.
        mixing: how examples are mixed.
        flops_per_example: matrix-product FLOPs of a training step, forward and backward.
    """

    model: WithHead
    shape: tuple[int, ...]
    patch_size: tuple[int, ...]
    mixing: Mixing
    flops_per_example: float

    @property
    def positions_per_example(self) -> int:
        """The patches."""
        return math.prod(grid_shape(self.shape, self.patch_size))

    @property
    def group_size(self) -> int:
        """Rows that are mixed with each other."""
        return GROUP if self.mixing.is_on else 1

    @property
    def begins_anew(self) -> tuple[str, ...]:
        """What pretraining has not: the head; positions that begin as the fixed ones."""
        is_tuned = self.model.encoder.positions == "sincos_learned"
        return ("^head/", *(("^encoder/positions/",) if is_tuned else ()))

    @property
    def leaves_out(self) -> tuple[str, ...]:
        """What of pretraining has no place here."""
        has_norm = self.model.encoder.transformer.has_norm
        of_norm = () if has_norm else ("^encoder/transformer/norm/",)
        return ("^decoder/", "^predict/", "^encoder/mask_token$", *of_norm)

    @abc.abstractmethod
    def targets(self, batch: Batch) -> Float[Array, "B T"]:
        """The targets of a batch, in the units of `errors`; linear, so that they can be mixed."""

    @abc.abstractmethod
    def errors(
        self, outputs: Float[Array, "B N"], targets: Float[Array, "B T"], is_train: bool
    ) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """The loss of each example, and what it weighs."""

    @abc.abstractmethod
    def metrics(
        self,
        outputs: Float[Array, "B N"],
        targets: Float[Array, "B T"],
        batch: Batch,
        weights: Float[Array, "B"],
        is_train: bool,
    ) -> dict[str, Metric]:
        """What stands beside the loss; `weights` is 0 for what only fills the batch."""

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""
        patches = patchify(jnp.zeros((1, *self.shape)), self.patch_size)
        return self.model.init(key, patches)["params"]

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Predict, and sum the error over the examples.

        Args:
            params: the parameters.
            batch: "inputs" [B, *shape] normalised, the targets, optionally "is_valid" [B].
            context: its keys mix and drop in training.
        """
        inputs, targets = jnp.asarray(batch["inputs"]), self.targets(batch)
        is_valid = jnp.asarray(batch.get("is_valid", jnp.ones(len(inputs), bool)))
        if context.train and self.mixing.is_on:
            inputs, targets = self.mixing(inputs, targets, context.keys, is_valid)
        _, outputs = self._forward(params, inputs, context)
        losses, weights = self.errors(outputs, targets, context.train)
        weights = jnp.where(is_valid, weights, 0.0)
        ones = is_valid.astype(jnp.float32)
        metrics = self.metrics(outputs, targets, batch, ones, context.train)
        return Sums((losses * weights).sum(), weights.sum(), metrics)

    def _forward(
        self, params: Params, inputs: Float[Array, "B *shape"], context: Context
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"]]:
        keys = None
        if context.train:
            keys = jax.vmap(jax.random.fold_in, (0, None))(context.keys, _FOLD_DROP_PATH)
        patches = patchify(inputs, self.patch_size)
        found: Any = self.model.apply({"params": params}, patches, drop_keys=keys)
        return found

    def outputs(self) -> Mapping[str, Output]:
        """Name "features", what the head reads [B, D], and "logits", its outputs [B, N]."""

        def of(part: int) -> Output:
            return lambda params, batch, context: self._forward(
                params, jnp.asarray(batch["inputs"]), context
            )[part]

        return {"features": of(0), "logits": of(1)}


def supervised_parts(config: Any, shape: tuple[int, ...], num_outputs: int) -> dict[str, Any]:
    """Make what every `Supervised` has.

    Args:
        config: the whole config; "model", "mask", "mix" and "total_steps" are read.
        shape: sizes of one example, channels last.
        num_outputs: of the head.

    Returns:
        The attributes of `Supervised`, by name.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    patch_size = tuple(config.model.patch_size)
    grid = patch_grid(shape, patch_size)
    numbers = math.prod(patch_size) * shape[-1]
    model, flops = build_with_head(config, grid, numbers, num_outputs)
    return {
        "model": model,
        "shape": tuple(shape),
        "patch_size": patch_size,
        "mixing": make_mixing(config.mix),
        "flops_per_example": flops,
    }


def try_out(task: Supervised, batch: Batch) -> None:
    """One group of examples through the whole task, so that what does not fit shows at once."""

    def around() -> Array:
        params = task.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(0), GROUP)
        return task.loss(params, batch, Context(keys, jnp.int32(0), memory=task.start())).loss

    jax.eval_shape(around)
