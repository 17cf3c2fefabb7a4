"""Bodies that read arrays of any rank, of which patches may be hidden: vision transformers."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.evaluation.panels import ClassPanel
from maskjax.models.architecture import Architecture, architecture_of
from maskjax.models.head import WithHead
from maskjax.models.patches import patchify
from maskjax.tasks.body import ALWAYS, Body, Seen, check_hiding
from maskjax.tasks.fills import batch_gate, corrupt
from maskjax.tasks.masker import Masker, make_masker
from maskjax.tasks.options import check_some_visible, patch_grid
from maskjax.tasks.task import Context
from maskjax.tasks.vit import build_with_head
from maskjax.typing import Array, Batch, Bool, Float, Key, Params

FILLS = ("drop", "token", "noise", "zero", "gate")
_FOLD_DROP_PATH = 1  # keeps drop path's draws apart from the masking rule's


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayBody(Body):
    """A model of arrays, of which patches may be hidden, by any rule.

    Attributes:
        model: encoder and head.
        shape: sizes of one example, channels last.
        patch_size: of what masks hide, one side an axis.
        masker: what is hidden.
        fill: what hidden patches become: "drop", "token", "noise", "zero", or "gate", by which
            every patch is seen in part.
        when: "training" or "always".
        flops_per_example: matrix-product FLOPs of a training step, forward and backward.
        has_gate: whether batches have the m of a soft gate.
    """

    model: Any
    shape: tuple[int, ...]
    patch_size: tuple[int, ...]
    masker: Masker
    fill: str
    when: str
    flops_per_example: float
    has_gate: bool = False

    def example(self, count: int) -> Batch:
        """Zeros."""
        gate = {"gate": jnp.ones((count, self.masker.length))} if self.has_gate else {}
        return {"inputs": jnp.zeros((count, *self.shape)), **gate}

    def panel(self, batch: Batch, labels: Any, chances: Array, names: Sequence[str]) -> ClassPanel:
        """Show the inputs."""
        return ClassPanel(batch["inputs"], labels, chances, names)

    def draw(
        self, batch: Batch, context: Context
    ) -> tuple[masking.Masking | None, Bool[Array, "B K"] | None, Bool[Array, "B L"]]:
        """Choose what is hidden: as `Masker.draw`, None where nothing is, and one flag a patch."""
        if not self.is_hiding(context):
            return None, None, jnp.zeros((batch["inputs"].shape[0], self.masker.length), bool)
        hidden, is_visible = self.masker.draw(context, batch)
        return hidden, is_visible, hidden.is_masked

    def corrupted(
        self, batch: Batch, context: Context, is_masked: Bool[Array, "B L"]
    ) -> Float[Array, "B L P"]:
        """The patches as the model sees them."""
        patches = patchify(jnp.asarray(batch["inputs"]), self.patch_size)
        if not (context.train or self.when == ALWAYS):
            return patches
        gate = batch_gate(batch, self.shape, self.patch_size)
        return corrupt(self.fill, patches, is_masked, context, self.masker, gate=gate)


class PatchBody(ArrayBody):
    """A vision transformer (He et al. 2022, appendix A.1, end-to-end fine-tuning).

    Hidden patches may also be left out of the encoder, as by PatchDropout (Liu et al. 2023).
    """

    model: WithHead

    @functools.cached_property
    def architecture(self) -> Architecture:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the encoder."""
        return architecture_of(self.model, self.shape, self.patch_size, self.model.pool)

    @property
    def begins_anew(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What pretraining may lack: the head, a token; positions that begin as fixed ones."""
        is_tuned = self.model.encoder.positions == "sincos_learned"
        positions = ("^encoder/positions/",) if is_tuned else ()
        token = ("^encoder/mask_token$",) if self.model.mask_token else ()
        return ("^head/", *positions, *token)

    @property
    def leaves_out(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What of pretraining has no place here."""
        has_norm = self.model.encoder.transformer.has_norm
        norm = () if has_norm else ("^encoder/transformer/norm/",)
        token = () if self.model.mask_token else ("^encoder/mask_token$",)
        return ("^decoder/", "^predict/", *norm, *token)

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""
        patches = patchify(jnp.zeros((1, *self.shape)), self.patch_size)
        return self.model.init(key, patches)["params"]

    def __call__(self, params: Params, batch: Batch, context: Context) -> Seen:
        """Predict; hidden patches are left out, or stand as what they became."""
        hidden, is_visible, is_masked = self.draw(batch, context)
        patches = self.corrupted(batch, context, is_masked)
        found: Any = self.model.apply(
            {"params": params}, patches, hidden, is_visible=is_visible, drop_keys=drop_keys(context)
        )
        return Seen(found[0], found[1], is_masked)


def drop_keys(context: Context) -> Key[Array, "B"] | None:
    """Keys of drop path; None in evaluation."""
    if not context.train:
        return None
    return jax.vmap(jax.random.fold_in, (0, None))(context.keys, _FOLD_DROP_PATH)


def patch_body(config: Any, data: Any, num_outputs: int) -> PatchBody:
    """Make a vision transformer with a head.

    Args:
        config: the whole config; "data.missing", "model", "mask", "seed" and "total_steps" are
            read.
        data: has `shape`, the sizes of one example, and where they are known `num_train` and
            `has_gate`.
        num_outputs: of the head.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    parts = array_parts(config, data, FILLS)
    numbers = math.prod(parts["patch_size"]) * data.shape[-1]
    model, flops = build_with_head(config, parts["masker"].grid, numbers, num_outputs)
    return PatchBody(model=model, flops_per_example=flops, **parts)


def array_parts(config: Any, data: Any, fills: tuple[str, ...]) -> dict[str, Any]:
    """Make what every `ArrayBody` has but the model; arguments and errors as `patch_body`."""
    mask, patch_size = config.mask, tuple(config.model.patch_size)
    missing = str(config.data.missing)
    if missing.startswith("hide"):
        number = missing.partition(":")[2] or "nan"
        raise ValueError(
            f"data.missing {missing!r} is for tasks that predict what is hidden: set it to "
            f"{number!r}, by which the model sees the mean where there is no number"
        )
    check_hiding(mask, fills)
    masker = make_masker(config, patch_grid(data.shape, patch_size), data, modality="image")
    check_some_visible(mask, masker.schedule, masker.length)
    return {
        "shape": tuple(data.shape),
        "patch_size": patch_size,
        "masker": masker,
        "fill": mask.fill,
        "when": mask.when,
        "has_gate": bool(getattr(data, "has_gate", False)),
    }
