"""Multi-head self-attention with a choice of backend."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax.models.layers import Dense
from maskjax.typing import Array, Bool, DType, Float

implementations = ("xla", "cudnn")


def dot_product_attention(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B L H D"],
    value: Float[Array, "B L H D"],
    attention_mask: Bool[Array, "B #H #Q L"] | None = None,
    *,
    implementation: str = "xla",
) -> Float[Array, "B Q H D"]:
    """Softmax attention, softmax in float32 (Vaswani et al. 2017, section 3.2).

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        attention_mask: True = may attend; None = everything. A query that may attend to nothing
            gets zeros.
        implementation: "xla", or "cudnn" for flash attention (NVIDIA, bf16 or fp16, head width a
            multiple of 8).

    Returns:
        The mean of the values under the attention weights, in the dtype of `value`.
    """
    if implementation == "cudnn":
        out = jax.nn.dot_product_attention(
            query, key, value, mask=attention_mask, implementation="cudnn"
        )
        return out if attention_mask is None else _zero_blind(out, attention_mask)
    # Heads before positions: XLA:CPU runs these small products about twice as fast this way.
    q, k, v = (x.swapaxes(1, 2) for x in (query * query.shape[-1] ** -0.5, key, value))
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32)
    if attention_mask is not None:
        logits = jnp.where(attention_mask, logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    out = jnp.einsum("bhqk,bhkd->bhqd", weights, v).swapaxes(1, 2)
    return out if attention_mask is None else _zero_blind(out, attention_mask)


def _zero_blind(out: Array, attention_mask: Array) -> Array:
    """Zeroes the rows of queries that may attend to nothing."""
    may_attend = attention_mask.any(-1).swapaxes(1, 2)[..., None]  # [B, Q or 1, H or 1, 1]
    return jnp.where(may_attend, out, 0)


class SelfAttention(nn.Module):
    """Multi-head self-attention with separate query, key and value products.

    The three kernels are drawn as one fused Xavier matrix would be (fan-out 3 D), as in the
    reference MAE.

    Attributes:
        num_heads: Heads; must divide the width.
        dtype: Compute dtype.
        implementation: Attention backend, see `dot_product_attention`.
    """

    num_heads: int
    dtype: DType = jnp.float32
    implementation: str = "xla"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L D"], attention_mask: Bool[Array, "B #H #L L"] | None = None
    ) -> Float[Array, "B L D"]:
        """Lets each position attend to all that `attention_mask` allows."""
        width = x.shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"width {width} is not a multiple of num_heads {self.num_heads}: change one of them"
            )
        heads = (*x.shape[:2], self.num_heads, width // self.num_heads)
        # Xavier for a [D, 3D] matrix has variance 2 / (D + 3D): half that of [D, D].
        init = nn.initializers.variance_scaling(0.5, "fan_avg", "uniform")
        query, key, value = (
            Dense(width, self.dtype, init, name=name)(x).reshape(heads)
            for name in ("query", "key", "value")
        )
        out = dot_product_attention(
            query, key, value, attention_mask, implementation=self.implementation
        )
        return Dense(width, self.dtype, name="out")(out.reshape(x.shape))
