"""What hidden positions become, and what a soft gate lets through of the others.

Models drop positions and put tokens in their places themselves; the other fills are made here, of
what a model is given.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from maskjax import masking
from maskjax.models.patches import patchify
from maskjax.tasks.masker import Masker
from maskjax.tasks.task import Context
from maskjax.typing import Array, Batch, Bool, Float


def check_gate(config: Any) -> None:
    """Refuse a loss on hidden positions alone where each is seen in part."""
    if config.mask.fill == "gate" and config.loss.on != "all":
        raise ValueError("mask.fill 'gate' lets every patch be seen in part: set loss.on='all'")


def batch_gate(
    batch: Batch, shape: Sequence[int], patch_size: Sequence[int]
) -> Float[Array, "..."] | None:
    """Take the soft gate m from a batch.

    Args:
        batch: may have "gate": one m a position [B, L], or one for all channels of a place,
            [B, *spatial].
        shape: (*spatial, C) of an example.
        patch_size: one side an axis.

    Returns:
        [B, L], or [B, L, P] in the order of `patchify`; None without a gate.
    """
    gate = batch.get("gate")
    if gate is None or gate.shape[1:] != tuple(shape[:-1]):
        return gate
    return patchify(jnp.broadcast_to(gate[..., None], (gate.shape[0], *shape)), patch_size)


def corrupt(
    fill: str,
    x: Float[Array, "B L *d"],
    is_masked: Bool[Array, "B L"],
    context: Context,
    masker: Masker,
    *,
    gate: Float[Array, "..."] | None = None,
    is_missing: Bool[Array, "B L"] | None = None,
) -> Float[Array, "B L *d"]:
    """Make what a model receives.

    Args:
        fill: "zero", "noise", or "gate", by which hidden positions too are seen by their m; with
            any other, x stays as it is there.
        x: a value or a patch a position.
        is_masked: True = hidden.
        context: its keys draw the noise; the masker's gate follows its memory.
        masker: gives m, by labels, where the fill is "gate" and none is given.
        gate: m from outside, [B, L] or of x's shape: what is not hidden is seen by it, with any
            fill.
        is_missing: where `masker.hides_missing`, positions that no gate opens.

    Returns:
        x as it is seen.
    """
    if gate is None and fill == "gate":
        gate = masker.gate(context, x.shape[0])
    if gate is not None:
        if masker.hides_missing and is_missing is not None:
            ones = (1,) * (gate.ndim - is_missing.ndim)
            gate = jnp.where(is_missing.reshape(*is_missing.shape, *ones), 0.0, gate)
        x = masking.fill_gate(x, gate)
    if fill == "zero":
        return masking.fill_zero(x, is_masked)
    if fill == "noise":
        return masking.fill_noise(x, is_masked, context.keys)
    return x
