"""An encoder with a linear head: what classifies, or predicts numbers, of a whole example."""

import flax.linen as nn
import jax.numpy as jnp

from maskjax import masking
from maskjax.models.layers import Dense, layer_norm, layer_norm_epsilon
from maskjax.models.mae import Encoder, attended
from maskjax.typing import Array, Bool, Float, Key

POOLS = ("mean", "class")
head_init = nn.initializers.truncated_normal(2e-5)  # He et al. 2022, fine-tuning; cut at 2 std


class Head(Dense):
    """A linear map whose kernel begins near zero, behind a LayerNorm where tokens were averaged.

    Attributes:
        has_norm: Whether there is a LayerNorm.
        norm_eps: Of the LayerNorm, added to the variance.
    """

    kernel_init: nn.initializers.Initializer = head_init
    has_norm: bool = True
    norm_eps: float = layer_norm_epsilon

    @nn.compact
    def __call__(self, x: Float[Array, "B D"]) -> tuple[Float[Array, "B D"], Float[Array, "B N"]]:
        """What the linear map reads, and what it makes of it, float32."""
        if self.has_norm:
            x = layer_norm(self.dtype, "norm", self.norm_eps)(x)
        return x.astype(jnp.float32), super().__call__(x).astype(jnp.float32)


class WithHead(nn.Module):
    """An encoder, a vector an example, a linear head.

    The vector is the encoder's class token, or the mean of its patch tokens, which the head
    normalises; the encoder then has no final LayerNorm (He et al. 2022, appendix A.1, and the
    reference's fine-tuning: "global pool").

    Attributes:
        encoder: The encoder.
        head: The head.
        pool: "mean" or "class".
        drops: Whether hidden patches are left out of the encoder.
        mask_token: Whether they become a learned token; else the caller has changed them.
    """

    encoder: Encoder
    head: Head
    pool: str = "mean"
    drops: bool = False
    mask_token: bool = False

    def __call__(
        self,
        patches: Float[Array, "B L P"],
        hidden: masking.Masking | None = None,
        *,
        is_visible: Bool[Array, "B K"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"]]:
        """Predict from patches, of which some may be hidden.

        Args:
            patches: Patches in raster order.
            hidden: Which positions are hidden; None = none.
            is_visible: Where the ratio varies over static slots: False for a kept slot whose
                position is hidden; nobody attends to it, and no mean counts it. None = all are.
            drop_keys: One key an example for drop path; None at evaluation.

        Returns:
            What the head reads, and its outputs, float32.
        """
        ids_keep, is_masked, seen = None, None, None
        if self.drops and hidden is not None:
            ids_keep, seen = hidden.ids_keep, is_visible
        elif self.mask_token:
            is_masked = jnp.zeros(patches.shape[:2], bool) if hidden is None else hidden.is_masked
        tokens = self.encoder(
            patches,
            ids_keep=ids_keep,
            is_masked=is_masked,
            attention_mask=None if seen is None else attended(seen),
            drop_keys=drop_keys,
        )
        return self.head(pooled(tokens, self.pool, seen))


def pooled(
    tokens: Float[Array, "B tokens D"], pool: str, is_seen: Bool[Array, "B L"] | None = None
) -> Float[Array, "B E"]:
    """One vector an example from a class token and those of the patches.

    Args:
        tokens: The class token first.
        pool: "mean" of the patches, the "class" token, or "both", class token first.
        is_seen: False for patches that are left out of the mean; None = all count.
    """
    if is_seen is None:
        mean = tokens[:, 1:].mean(1)
    else:
        weights = is_seen.astype(tokens.dtype)[..., None]
        mean = (tokens[:, 1:] * weights).sum(1) / jnp.maximum(weights.sum(1), 1)
    parts = {"class": tokens[:, 0], "mean": mean}
    return jnp.concatenate(list(parts.values()), 1) if pool == "both" else parts[pool]
