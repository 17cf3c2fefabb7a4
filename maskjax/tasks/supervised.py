"""What classification and regression share: an encoder with a head, mixing, a target an example."""

import abc
import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.evaluation.metrics import Mean, Metric
from maskjax.models.architecture import Architecture, architecture_of
from maskjax.models.head import WithHead
from maskjax.models.lora import LORA, Adapters, merged, with_adapters
from maskjax.models.patches import patchify
from maskjax.tasks.fills import batch_gate, corrupt
from maskjax.tasks.masker import MaskedTask, Masker, make_masker
from maskjax.tasks.mixing import GROUP, Mixing, make_mixing
from maskjax.tasks.options import check_choice, check_some_visible, patch_grid
from maskjax.tasks.task import Context, Output, Sums
from maskjax.tasks.vit import build_with_head
from maskjax.typing import Array, Batch, Bool, Float, Key, Params

FILLS = ("drop", "token", "noise", "zero", "gate")
ALWAYS = "always"
_FOLD_DROP_PATH = 1  # keeps drop path's draws apart from the masking rule's
_FOLD_LORA = 1  # and adapters' apart from the model's


class Seen(NamedTuple):
    """What the model made of examples.

    Attributes:
        features: what the head reads.
        outputs: the head's.
        is_masked: True = hidden.
    """

    features: Float[Array, "B D"]
    outputs: Float[Array, "B N"]
    is_masked: Bool[Array, "B L"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised(MaskedTask):
    """Predict a target of whole examples (He et al. 2022, appendix A.1, end-to-end fine-tuning).

    In training examples are mixed and drop path is on; in evaluation nothing is drawn. Positions of
    the input may be hidden, by any rule, in training alone or in evaluation too: left out of the
    encoder as by PatchDropout (Liu et al. 2023), replaced, or seen in part.

    Attributes:
        model: encoder and head.
        shape: sizes of one example, channels last.
        patch_size: one side an axis.
        mixing: how examples are mixed; what is hidden is hidden after that.
        masker: what is hidden.
        fill: what hidden patches become: "drop", "token", "noise", "zero", or "gate", by which
            every patch is seen in part.
        when: "training" or "always".
        lora: low-rank adapters of the model's kernels; None without.
        flops_per_example: matrix-product FLOPs of a training step, forward and backward.
    """

    model: WithHead
    shape: tuple[int, ...]
    patch_size: tuple[int, ...]
    mixing: Mixing
    masker: Masker
    fill: str
    when: str
    flops_per_example: float
    lora: Adapters | None = None

    @property
    def group_size(self) -> int:
        """Rows that are mixed with each other."""
        return GROUP if self.mixing.is_on else 1

    @functools.cached_property
    def architecture(self) -> Architecture:
        """Of the encoder."""
        return architecture_of(self.model, self.shape, self.patch_size, self.model.pool)

    @property
    def begins_anew(self) -> tuple[str, ...]:
        """What pretraining may lack: head, adapters, token; positions that begin as fixed ones."""
        is_tuned = self.model.encoder.positions == "sincos_learned"
        positions = ("^encoder/positions/",) if is_tuned else ()
        token = ("^encoder/mask_token$",) if self.model.mask_token else ()
        lora = (f"^{LORA}/",) if self.lora else ()
        return ("^head/", *positions, *token, *lora)

    @property
    def leaves_out(self) -> tuple[str, ...]:
        """What of pretraining has no place here."""
        has_norm = self.model.encoder.transformer.has_norm
        norm = () if has_norm else ("^encoder/transformer/norm/",)
        token = () if self.model.mask_token else ("^encoder/mask_token$",)
        return ("^decoder/", "^predict/", *norm, *token)

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
        params = self.model.init(key, patches)["params"]
        if self.lora is None:
            return params
        return with_adapters(jax.random.fold_in(key, _FOLD_LORA), params, self.lora)

    def without_adapters(self, params: Params) -> tuple["Supervised", Params]:
        """The same with adapters merged into the kernels."""
        if self.lora is None:
            return self, params
        return dataclasses.replace(self, lora=None), merged(params, self.lora.scale)

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Predict, and sum the error over the examples.

        Args:
            params: the parameters.
            batch: "inputs" [B, *shape] normalised, the targets, optionally "is_valid" [B] and
                "gate", of `batch_gate`.
            context: its keys mix, hide and drop in training.
        """
        inputs, targets = jnp.asarray(batch["inputs"]), self.targets(batch)
        is_valid = jnp.asarray(batch.get("is_valid", jnp.ones(len(inputs), bool)))
        if context.train and self.mixing.is_on:
            inputs, targets = self.mixing(inputs, targets, context.keys, is_valid)
        seen = self._forward(params, {**batch, "inputs": inputs}, context)
        losses, weights = self.errors(seen.outputs, targets, context.train)
        losses, weights = (jnp.where(is_valid, x, 0.0) for x in (losses, weights))
        ones = is_valid.astype(jnp.float32)
        metrics = self.metrics(seen.outputs, targets, batch, ones, context.train)
        is_counted = jnp.broadcast_to(is_valid[:, None], seen.is_masked.shape)
        if self._is_hiding(context):
            hidden = jnp.where(is_counted, seen.is_masked, False).sum(dtype=jnp.float32)
            metrics["mask_ratio"] = Mean(hidden, is_counted.sum(dtype=jnp.float32))
        # What an example loses is laid to all that was hidden of it.
        spread = jnp.broadcast_to(losses[:, None], seen.is_masked.shape)
        statistics = self.masker.statistics(spread, seen.is_masked, is_counted, batch)
        return Sums((losses * weights).sum(), weights.sum(), metrics, statistics)

    def _is_hiding(self, context: Context) -> bool:
        is_now = context.train or self.when == ALWAYS
        return is_now and self.masker.schedule.max_ratio > 0

    def _forward(self, params: Params, batch: Batch, context: Context) -> Seen:
        keys = None
        if context.train:
            keys = jax.vmap(jax.random.fold_in, (0, None))(context.keys, _FOLD_DROP_PATH)
        patches = patchify(jnp.asarray(batch["inputs"]), self.patch_size)
        hidden: masking.Masking | None = None
        is_visible, is_masked = None, jnp.zeros(patches.shape[:2], bool)
        if self._is_hiding(context):
            hidden, is_visible = self.masker.draw(context, batch)
            is_masked = hidden.is_masked
        if context.train or self.when == ALWAYS:
            gate = batch_gate(batch, self.shape, self.patch_size)
            patches = corrupt(self.fill, patches, is_masked, context, self.masker, gate=gate)
        own = params if self.lora is None else merged(params, self.lora.scale)
        found: Any = self.model.apply(
            {"params": own}, patches, hidden, is_visible=is_visible, drop_keys=keys
        )
        return Seen(found[0], found[1], is_masked)

    def outputs(self) -> Mapping[str, Output]:
        """Name "features", what the head reads [B, D], and "logits", its outputs [B, N]."""

        def features(params: Params, batch: Batch, context: Context) -> Array:
            return self._forward(params, batch, context).features

        def logits(params: Params, batch: Batch, context: Context) -> Array:
            return self._forward(params, batch, context).outputs

        return {"features": features, "logits": logits}


def supervised_parts(config: Any, data: Any, num_outputs: int) -> dict[str, Any]:
    """Make what every `Supervised` has.

    Args:
        config: the whole config; "data.missing", "model", "mask", "mix", "seed" and "total_steps"
            are read.
        data: has `shape`, the sizes of one example, and where they are known `num_train` and
            `has_gate`.
        num_outputs: of the head.

    Returns:
        The attributes of `Supervised`, by name.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    mask, patch_size = config.mask, tuple(config.model.patch_size)
    missing = str(config.data.missing)
    if missing.startswith("hide"):
        number = missing.partition(":")[2] or "nan"
        raise ValueError(
            f"data.missing {missing!r} is for tasks that predict what is hidden: set it to "
            f"{number!r}, by which the model sees the mean where there is no number"
        )
    check_choice("mask.fill", mask.fill, FILLS)
    check_choice("mask.when", mask.when, ("training", ALWAYS))
    grid = patch_grid(data.shape, patch_size)
    masker = make_masker(config, grid, data, modality="image")
    check_some_visible(mask, masker.schedule, masker.length)
    numbers = math.prod(patch_size) * data.shape[-1]
    model, flops = build_with_head(config, grid, numbers, num_outputs)
    return {
        "model": model,
        "shape": tuple(data.shape),
        "patch_size": patch_size,
        "mixing": make_mixing(config.mix),
        "masker": masker,
        "fill": mask.fill,
        "when": mask.when,
        "flops_per_example": flops,
        "lora": _adapters(config.model),
    }


def _adapters(model: Any) -> Adapters | None:
    """Read `model.lora_*`."""
    if model.lora_rank < 0 or not 0 < model.lora_alpha < math.inf:
        raise ValueError(
            f"model.lora_rank {model.lora_rank} must be at least 0, which is none, and "
            f"model.lora_alpha {model.lora_alpha} above 0 and finite"
        )
    if not model.lora_rank:
        return None
    return Adapters(model.lora_rank, float(model.lora_alpha), tuple(model.lora_on))


def try_out(task: Supervised, data: Any, targets: Batch) -> None:
    """One group of examples through the whole task, so that what does not fit shows at once.

    Args:
        task: what is tried.
        data: as for `supervised_parts`.
        targets: of `GROUP` examples, as batches have them.
    """
    batch = {"inputs": jnp.zeros((GROUP, *task.shape)), **targets}
    if getattr(data, "has_gate", False):
        batch["gate"] = jnp.ones((GROUP, task.masker.length))

    def around() -> Array:
        params = task.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(0), GROUP)
        return task.loss(params, batch, Context(keys, jnp.int32(0), memory=task.start())).loss

    jax.eval_shape(around)
