"""Attentive pooling: a learned query reads frozen tokens."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax.models.layers import Dense, layer_norm
from maskjax.models.mae import token_init
from maskjax.typing import Array, Float


class AttentiveHead(nn.Module):
    """Cross-attention of one learned query over the tokens, then a linear map.

    The attentive probe of Chen et al. 2022 (Context Autoencoder, section 4), with a LayerNorm in
    the place of its batch norm, which is no sum over rows.

    Attributes:
        num_outputs: Classes.
        num_heads: Of the attention; the width of the tokens divides by it.
        kernel_init: Initialiser of the linear map.
    """

    num_outputs: int
    num_heads: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, tokens: Float[Array, "B tokens D"]) -> Float[Array, "B C"]:
        """Read the tokens, and map what was read to one number a class."""
        batch, _, width = tokens.shape
        split = lambda x: x.reshape(*x.shape[:2], self.num_heads, -1)  # noqa: E731
        query = split(self.param("query", token_init, (1, 1, width)))
        keys, values = (split(Dense(width, name=name)(tokens)) for name in ("key", "value"))
        read = jax.nn.dot_product_attention(
            jnp.broadcast_to(query, (batch, *query.shape[1:])), keys, values
        )
        read = layer_norm(jnp.float32, "norm")(read.reshape(batch, width))
        return Dense(self.num_outputs, kernel_init=self.kernel_init, name="predict")(read)
