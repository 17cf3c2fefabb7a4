"""Multi-head self-attention over `masking.attention.attend`."""

import flax.linen as nn
import jax.numpy as jnp

from maskjax import masking
from maskjax.models.layers import Dense
from maskjax.typing import Array, Bool, DType, Float


class SelfAttention(nn.Module):
    """Multi-head self-attention with separate query, key and value products.

    The three kernels are drawn as one fused Xavier matrix would be (fan-out 3 D), as in the
    reference MAE.

    Attributes:
        num_heads: Heads; must divide the width.
        dtype: Compute dtype.
        implementation: One of `masking.attention.IMPLEMENTATIONS`, see `masking.attention.attend`.
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
        out = masking.attention.attend(
            query, key, value, attention_mask, implementation=self.implementation
        )
        return Dense(width, self.dtype, name="out")(out.reshape(x.shape))
