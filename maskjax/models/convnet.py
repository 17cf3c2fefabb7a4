"""An encoder of whole inputs, as a convolutional one, with a linear head."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from maskjax.models.head import Head
from maskjax.typing import Array, Bool, Float, Key


class ConvNet(nn.Module):
    """An encoder that makes a vector of an example, and a linear head.

    Attributes:
        encoder: `(x, drop_keys) -> [B, D]`.
        head: The head.
        mask_token: Whether hidden places become learned numbers, one a channel; else the caller
            has changed them.
    """

    encoder: Any
    head: Head
    mask_token: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B *shape C"],
        is_masked: Bool[Array, "B *shape C"] | None = None,
        *,
        drop_keys: Key[Array, "B"] | None = None,
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"]]:
        """Predict from inputs, of which some places may be hidden.

        Args:
            x: Inputs.
            is_masked: True where a mask token stands; None = nowhere.
            drop_keys: One key an example for drop path; None at evaluation.

        Returns:
            What the head reads, and its outputs, float32.
        """
        if self.mask_token:
            token = self.param("mask_token", nn.initializers.zeros, x.shape[-1:])
            if is_masked is not None:
                row = (1,) * (x.ndim - 1) + (-1,)
                x = jnp.where(is_masked, token.astype(x.dtype).reshape(row), x)
        return self.head(self.encoder(x, drop_keys))
