"""Pre-norm transformer blocks, shared by every modality."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from maskjax.models.attention import SelfAttention
from maskjax.models.layers import Mlp, drop_path, layer_norm
from maskjax.typing import Array, Bool, DType, Float, Key


class Block(nn.Module):
    """One pre-norm transformer block (Dosovitskiy et al. 2021, section 3.1).

    Attributes:
        num_heads: Attention heads.
        mlp_ratio: Hidden width of the MLP over the width.
        drop_path_rate: Probability of dropping each residual branch.
        dtype: Compute dtype.
        attention: Attention backend, "xla" or "cudnn".
    """

    num_heads: int
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32
    attention: str = "xla"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L D"],
        attention_mask: Bool[Array, "B #H #L L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Attention and MLP, each normalised before and added to the stream."""
        drop = [None, None]
        if drop_keys is not None:
            drop = [jax.vmap(jax.random.fold_in, (0, None))(drop_keys, i) for i in range(2)]
        y = layer_norm(self.dtype, "norm1")(x)
        y = SelfAttention(self.num_heads, self.dtype, self.attention, name="attn")(
            y, attention_mask
        )
        x = x + drop_path(y, self.drop_path_rate, drop[0])
        y = layer_norm(self.dtype, "norm2")(x)
        y = Mlp(int(x.shape[-1] * self.mlp_ratio), self.dtype, name="mlp")(y)
        return x + drop_path(y, self.drop_path_rate, drop[1])


class Transformer(nn.Module):
    """A stack of blocks and a final LayerNorm.

    Attributes:
        depth: Number of blocks.
        num_heads: Attention heads in each.
        mlp_ratio: Hidden width of the MLPs over the width.
        drop_path_rate: Rate of the last block; earlier ones rise linearly from 0.
        dtype: Compute dtype.
        attention: Attention backend, "xla" or "cudnn".
        remat: Recompute each block in the backward pass instead of keeping its activations.
    """

    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32
    attention: str = "xla"
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L D"],
        attention_mask: Bool[Array, "B #H #L L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Runs the blocks in order and normalises."""
        block = nn.remat(Block) if self.remat else Block
        for i, rate in enumerate(np.linspace(0, self.drop_path_rate, self.depth)):
            keys = None
            if drop_keys is not None and rate > 0:
                keys = jax.vmap(jax.random.fold_in, (0, None))(drop_keys, i)
            x = block(
                self.num_heads,
                self.mlp_ratio,
                float(rate),
                self.dtype,
                self.attention,
                name=f"block{i:02d}",
            )(x, attention_mask, keys)
        return layer_norm(self.dtype, "norm")(x)
