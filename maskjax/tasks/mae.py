"""Masked prediction of patches: MAE and SimMIM on signals, images, video and volumes."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.evaluation.metrics import Mean
from maskjax.evaluation.panels import Panel
from maskjax.models.architecture import Architecture, architecture_of
from maskjax.models.head import pooled
from maskjax.models.patches import grid_shape, patchify, unpatchify
from maskjax.tasks import losses, pictures
from maskjax.tasks.fills import batch_gate, check_gate, corrupt
from maskjax.tasks.masker import MaskedTask, Masker, make_masker
from maskjax.tasks.options import (
    check_choice,
    check_counted,
    check_some_visible,
    patch_grid,
)
from maskjax.tasks.scores import mean_error
from maskjax.tasks.task import Context, Output, Sums
from maskjax.tasks.vit import build_model
from maskjax.typing import Array, Batch, Bool, Float, Key, Params

_FOLD_DROP_PATH = 1  # keeps drop path's draws apart from the masking rule's


@dataclasses.dataclass(frozen=True)
class MaskedPatches(MaskedTask):
    """Hide patches, predict them (He et al. 2022; Xie et al. 2022).

    Attributes:
        model: MaskedAutoencoder or SimMIM.
        shape: Sizes of one example, channels last.
        patch_size: One side an axis.
        masker: What is hidden.
        fill: What hidden patches become: "drop", "token", "noise", "zero", or "gate", by which
            every patch is seen in part.
        target: "norm_pix" or "pixels".
        on: Patches that count in the loss: "masked" or "all".
        kind: "l2" or "l1".
        pool: Frozen features: "mean" of the patch tokens, the "class" token, or "both".
        feature_blocks: How many of the last blocks' outputs make up the features, side by side.
        mask_options: `config.mask`, for the sheet that shows every rule.
        flops_per_example: Matrix-product FLOPs of a training step, forward and backward.
    """

    model: Any
    shape: tuple[int, ...]
    patch_size: tuple[int, ...]
    masker: Masker
    fill: str
    target: str
    on: str
    kind: str
    pool: str
    feature_blocks: int
    mask_options: Mapping[str, Any]
    flops_per_example: float

    @property
    def grid(self) -> tuple[int, ...]:
        """Patches along each axis."""
        return grid_shape(self.shape, self.patch_size)

    @property
    def loss_label(self) -> str:
        """The loss and its unit."""
        return losses.label(self.kind, self.on, self.target)

    @functools.cached_property
    def architecture(self) -> Architecture:
        """Of the encoder, and of MAE's decoder."""
        return architecture_of(self.model, self.shape, self.patch_size, self.pool)

    def init(self, key: Key[Array, ""]) -> Params:
        """Draws the parameters, float32, as Linen nests them."""
        patches = patchify(jnp.zeros((1, *self.shape)), self.patch_size)
        noise = {"mask_noise": jnp.zeros((1, self.masker.length))}  # which does not matter here
        hidden, is_visible = self.masker.draw(Context(key[None], train=False), noise)
        return self.model.init(key, patches, hidden, is_visible=is_visible)["params"]

    def _corrupt(
        self, patches: Array, hidden: masking.Masking, batch: Batch, context: Context
    ) -> Float[Array, "B L P"]:
        """What the model receives; tokens and dropping are the model's own doing."""
        is_known = self._known_patches(batch)
        return corrupt(
            self.fill, patches, hidden.is_masked, context, self.masker,
            gate=batch_gate(batch, self.shape, self.patch_size),
            is_missing=None if is_known is None else ~is_known.all(-1),
        )  # fmt: skip

    def _forward(
        self, params: Params, batch: Batch, context: Context
    ) -> tuple[Array, Array, masking.Masking]:
        patches, is_known = patchify(batch["inputs"], self.patch_size), self._known_patches(batch)
        hidden, is_visible = self.masker.draw(
            context,
            batch,
            is_missing=None if is_known is None else ~is_known.all(-1),
        )
        fold = jax.vmap(jax.random.fold_in, (0, None))
        prediction = self.model.apply(
            {"params": params},
            self._corrupt(patches, hidden, batch, context),
            hidden,
            is_visible=is_visible,
            drop_keys=fold(context.keys, _FOLD_DROP_PATH) if context.train else None,
        )
        return patches, prediction, hidden

    def _errors(
        self, params: Params, batch: Batch, context: Context
    ) -> tuple[Array, Array, masking.Masking]:
        """Errors [B, L] of patches, what they weigh in the loss [B, L], and what was hidden."""
        patches, prediction, hidden = self._forward(params, batch, context)
        is_known = self._known_patches(batch)
        target = patches
        if self.target == "norm_pix":
            mean, scale = losses.patch_statistics(patches, is_known)
            target = (patches - mean) / scale
        weights = losses.loss_weights(hidden.is_masked, batch.get("is_valid"), self.on)
        errors, weights = losses.patch_errors(
            prediction, target, weights, kind=self.kind, is_known=is_known
        )
        return errors, weights, hidden

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hides patches of a batch, predicts them, and sums the error.

        Args:
            params: The parameters.
            batch: "inputs" [B, *shape] normalised, optionally "is_valid" [B], "mask_noise" [B, L]
                (scores in place of the rule's), "mask_ratio" [B] (in place of the schedule's),
                "gate" [B, L] or [B, *spatial] (m of a soft gate, in place of the masker's) and
                "is_known" [B, *shape]: False where there is no number; the model sees what
                "inputs" holds there, and the loss leaves it out.
            context: Keys, step and memory fix the masks; drop path is on in training.

        Returns:
            The sums, with the metric "mask_ratio".
        """
        errors, weights, hidden = self._errors(params, batch, context)
        is_known, is_valid = self._known_patches(batch), batch.get("is_valid")
        ones = losses.loss_weights(hidden.is_masked, is_valid, "all")
        is_counted = ones > 0 if is_known is None else (ones > 0) & is_known.any(-1)
        ratio = Mean(jnp.where(hidden.is_masked, ones, 0.0).sum(), ones.sum())
        return Sums(
            (errors * weights).sum(),
            weights.sum(),
            {"mask_ratio": ratio},
            self.masker.statistics(errors, hidden.is_masked, is_counted, batch),
        )

    def _known_patches(self, batch: Batch) -> Bool[Array, "B L P"] | None:
        is_known = batch.get("is_known")
        return None if is_known is None else patchify(is_known, self.patch_size)

    def outputs(self) -> dict[str, Output]:
        """Name "features" [B, D], of whole inputs, "reconstructions", and "error" [B].

        Class token and mean, and several blocks side by side, are the choices of DINO's linear
        probes (Caron et al. 2021, appendix). The error is `mean_error`'s, and of "mask_noise" that
        of the mask which it gives.
        """

        def error(params: Params, batch: Batch, context: Context) -> Float[Array, "B"]:
            errors = lambda drawn: self._errors(params, batch, drawn)[:2]  # noqa: E731
            return mean_error(errors, context, is_drawn="mask_noise" not in batch)

        return {"features": self._features, "reconstructions": self.reconstruct, "error": error}

    def _features(self, params: Params, batch: Batch, context: Context) -> Float[Array, "B D"]:
        del context
        patches, is_known = patchify(batch["inputs"], self.patch_size), self._known_patches(batch)
        is_seen = is_known.all(-1) if self.masker.hides_missing and is_known is not None else None
        tokens: Any = self.model.apply(
            {"params": params}, patches, self.feature_blocks, is_seen, method="encode"
        )
        return pooled(tokens.astype(jnp.float32), self.pool, is_seen)

    def reconstruct(self, params: Params, batch: Batch, context: Context) -> dict[str, Array]:
        """What pictures need: predictions in the inputs' own units.

        A norm_pix prediction has no mean and scale of its own: those of the true patch are used,
        which the picture must say. Arguments are those of `loss`.

        Returns:
            All [B, *shape]: "seen" (what the model received, 0 where nothing), "prediction",
            "pasted" (prediction where hidden, input where visible), and bool "is_hidden" and
            "is_absent" (where the model received nothing).
        """
        patches, prediction, hidden = self._forward(params, batch, context)
        if self.target == "norm_pix":
            mean, scale = losses.patch_statistics(patches, self._known_patches(batch))
            prediction = prediction * scale + mean
        is_masked = hidden.is_masked[..., None]
        seen = self._corrupt(patches, hidden, batch, context)
        pasted = jnp.where(is_masked, prediction, patches)
        is_hidden = jnp.broadcast_to(is_masked, patches.shape)
        # A flag and no NaN, which would end a program that JAX_DEBUG_NANS watches.
        is_absent = is_hidden & (self.fill in ("drop", "token"))
        parts = {"seen": jnp.where(is_absent, 0, seen), "prediction": prediction, "pasted": pasted}
        parts |= {"is_hidden": is_hidden, "is_absent": is_absent}
        return {name: unpatchify(part, self.shape, self.patch_size) for name, part in parts.items()}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, Panel]:
        """What the model saw and made of it, and for pictures every masking rule on the first.

        Returns:
            "reconstructions", of up to three axes of patches, and "rules", of two.
        """
        panels: dict[str, Panel] = {}
        if len(self.grid) <= 3:
            parts = self._compiled_reconstruct(params, batch, context)
            panels |= pictures.reconstructions(batch, parts, on=self.on, target=self.target)
        count = self.masker.schedule.max_num_masked(self.masker.length)
        if len(self.grid) == 2 and count:
            panels |= pictures.rules(batch, self.patch_size, count, self.mask_options)
        return panels

    @functools.cached_property
    def _compiled_reconstruct(self) -> Callable[..., dict[str, Array]]:
        return jax.jit(self.reconstruct)


def build(config: Any, data: Any) -> MaskedPatches:
    """Makes the task that a config describes.

    Args:
        config: The whole config; "model", "mask", "loss" and "total_steps" are read.
        data: Has `shape`, the sizes of one example, channels last.

    Returns:
        The task.

    Raises:
        ValueError: a size, rule, ratio, patch size, target or dtype that does not fit; the message
            names what would.
    """
    model, loss = config.model, config.loss
    check_choice("model.name", model.name, ("mae", "simmim"))
    check_choice("model.pool", model.pool, ("mean", "class", "both"))
    check_choice("loss.target", loss.target, losses.TARGETS)
    check_choice("loss.on", loss.on, ("masked", "all"))
    check_counted(config)
    check_choice("loss.kind", loss.kind, losses.LOSS_KINDS)
    fills = ("drop",) if model.name == "mae" else ("token", "noise", "zero", "gate")
    check_choice(f"mask.fill (with model.name {model.name!r})", config.mask.fill, fills)
    check_gate(config)
    patch_size = tuple(model.patch_size)
    grid = patch_grid(data.shape, patch_size)
    masker = make_masker(config, grid, data, modality="image")
    check_some_visible(config.mask, masker.schedule, masker.length)
    module, flops = build_model(config, grid, math.prod(patch_size) * data.shape[-1])
    task = MaskedPatches(
        model=module,
        shape=tuple(data.shape),
        patch_size=patch_size,
        masker=masker,
        fill=config.mask.fill,
        target=loss.target,
        on=loss.on,
        kind=loss.kind,
        pool=model.pool,
        feature_blocks=model.feature_blocks,
        flops_per_example=flops,
        mask_options=config.mask.to_dict(),
    )
    has_labels = getattr(data, "num_classes", None) is not None
    jax.eval_shape(
        lambda: _try_out(task, has_labels, getattr(data, "has_gate", False))
    )  # what does not fit together shows here
    return task


def _try_out(task: MaskedPatches, has_labels: bool, has_gate: bool) -> Array:
    """One example through the whole task."""
    params = task.init(jax.random.key(0))
    batch = {"inputs": jnp.zeros((1, *task.shape))}
    if has_labels:
        batch["label"] = jnp.zeros(1, jnp.int32)
    if has_gate:
        batch["gate"] = jnp.ones((1, *task.shape[:-1]))
    context = Context(jax.random.split(jax.random.key(0), 1), jnp.int32(0), memory=task.start())
    return task.loss(params, batch, context).loss
