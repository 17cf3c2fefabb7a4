"""Multi-head self-attention over `masking.attention.attend`."""

import flax.linen as nn
import jax.numpy as jnp

from maskjax import masking
from maskjax.masking.attention import AttentionMask
from maskjax.models.layers import Dense, Style
from maskjax.models.rotary import Rotation, rotate
from maskjax.typing import Array, Bool, DType, Float


class SelfAttention(nn.Module):
    """Multi-head self-attention with separate query, key and value products.

    The three kernels are drawn as one fused Xavier matrix would be (fan-out 3 D), as in the
    reference MAE, unless the style says otherwise.

    Attributes:
        num_heads: Heads; must divide the width.
        dtype: Compute dtype.
        implementation: One of `masking.attention.IMPLEMENTATIONS`, see `masking.attention.attend`.
        style: Whether it has biases, and how kernels are drawn.
        side: Keys before and behind its own place that a query may attend to; 0 = all.
        head_width: Of each head; 0 = all of them together are as wide as what is read.
    """

    num_heads: int
    dtype: DType = jnp.float32
    implementation: str = "xla"
    style: Style = Style()
    side: int = 0
    head_width: int = 0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L D"],
        attention_mask: AttentionMask | Bool[Array, "B #H #L L"] | None = None,
        rotation: Rotation | None = None,
        head_weights: Float[Array, "*B H"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Lets each position attend to all that `attention_mask` allows.

        Args:
            x: What is read.
            attention_mask: True = may attend.
            rotation: By how much queries and keys are turned; None = positions are in `x`.
            head_weights: What each head gives is multiplied by, in all examples or
                in each; None = 1.
        """
        width, style = x.shape[-1], self.style
        if not self.head_width and width % self.num_heads:
            raise ValueError(
                f"width {width} is not a multiple of num_heads {self.num_heads}: change one of them"
            )
        head_width = self.head_width or width // self.num_heads
        heads, inner = (*x.shape[:2], self.num_heads, head_width), self.num_heads * head_width
        # Xavier for a [D, 3D] matrix has variance 2 / (D + 3D): half that of [D, D].
        init = style.kernel_init(nn.initializers.variance_scaling(0.5, "fan_avg", "uniform"))
        query, key, value = (
            Dense(inner, self.dtype, init, style.has_bias, name=name)(x).reshape(heads)
            for name in ("query", "key", "value")
        )
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        out = masking.attention.attend(
            query,
            key,
            value,
            attention_mask,
            implementation=self.implementation,
            side=self.side or None,
        )
        if head_weights is not None:
            out = masking.heads.scale_heads(out, head_weights)
        out = out.reshape(*x.shape[:2], inner)
        return Dense(width, self.dtype, style.kernel_init(), style.has_bias, name="out")(out)
