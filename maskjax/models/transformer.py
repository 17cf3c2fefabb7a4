"""Pre-norm transformer blocks, shared by every modality."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from maskjax.models.attention import SelfAttention
from maskjax.models.layers import Mlp, drop_path, dropout, layer_norm, layer_norm_epsilon
from maskjax.typing import Array, Bool, DType, Float, Key


class Block(nn.Module):
    """One pre-norm transformer block (Dosovitskiy et al. 2021, section 3.1).

    With both rates of dropout the same it drops where appendix B.1 there does: after every dense
    layer but those of queries, keys and values. BERT drops only what a branch adds.

    Attributes:
        num_heads: Attention heads.
        mlp_ratio: Hidden width of the MLP over the width.
        drop_path_rate: Probability of dropping each residual branch.
        dtype: Compute dtype.
        attention: One of `masking.attention.IMPLEMENTATIONS`.
        dropout_rate: Probability of dropping each number that a branch adds.
        norm_eps: Of the LayerNorms, added to the variance.
        hidden_dropout_rate: Probability of dropping each number within the MLP.
    """

    num_heads: int
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32
    attention: str = "xla"
    dropout_rate: float = 0.0
    norm_eps: float = layer_norm_epsilon
    hidden_dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L D"],
        attention_mask: Bool[Array, "B #H #L L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Attention and MLP, each normalised before and added to the stream."""
        drop, thin = [None, None], [None, None, None]
        if drop_keys is not None:
            drop = [jax.vmap(jax.random.fold_in, (0, None))(drop_keys, i) for i in range(2)]
            thin = [jax.vmap(jax.random.fold_in, (0, None))(drop_keys, i) for i in (2, 3, 4)]
        y = layer_norm(self.dtype, "norm1", self.norm_eps)(x)
        y = SelfAttention(self.num_heads, self.dtype, self.attention, name="attn")(
            y, attention_mask
        )
        x = x + drop_path(dropout(y, self.dropout_rate, thin[0]), self.drop_path_rate, drop[0])
        y = layer_norm(self.dtype, "norm2", self.norm_eps)(x)
        hidden, rate = int(x.shape[-1] * self.mlp_ratio), self.hidden_dropout_rate
        y = Mlp(hidden, self.dtype, rate, name="mlp")(y, thin[2])
        return x + drop_path(dropout(y, self.dropout_rate, thin[1]), self.drop_path_rate, drop[1])


class Transformer(nn.Module):
    """A stack of blocks and, unless it is left out, a final LayerNorm.

    Attributes:
        depth: Number of blocks.
        num_heads: Attention heads in each.
        mlp_ratio: Hidden width of the MLPs over the width.
        drop_path_rate: Rate of the last block; earlier ones rise linearly from 0.
        dtype: Compute dtype.
        attention: One of `masking.attention.IMPLEMENTATIONS`.
        remat: Recompute each block in the backward pass instead of keeping its activations.
        dropout_rate: Probability of dropping each number that a branch adds, in all blocks.
        hidden_dropout_rate: Probability of dropping each number within the MLPs.
        norm_eps: Of the LayerNorms, added to the variance.
        has_norm: Whether there is a final LayerNorm.
    """

    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32
    attention: str = "xla"
    remat: bool = False
    dropout_rate: float = 0.0
    norm_eps: float = layer_norm_epsilon
    has_norm: bool = True
    hidden_dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L D"],
        attention_mask: Bool[Array, "B #H #L L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
        *,
        num_outputs: int = 1,
    ) -> Float[Array, "B L D_out"]:
        """Runs the blocks in order and normalises.

        Args:
            x: Tokens.
            attention_mask: True = may attend.
            drop_keys: One key an example for drop path and dropout; None at evaluation.
            num_outputs: How many of the last blocks' outputs to return side by side, each under
                the same final LayerNorm, as DINO does for features (Caron et al. 2021, appendix).

        Returns:
            Tokens [B, L, num_outputs * D], the last block's first.

        Raises:
            ValueError: more outputs than blocks.
        """
        if not 1 <= num_outputs <= self.depth:
            raise ValueError(f"num_outputs {num_outputs} must be from 1 to the {self.depth} blocks")
        outputs, thin = [], (self.dropout_rate, self.hidden_dropout_rate)
        block = nn.remat(Block) if self.remat else Block
        for i, rate in enumerate(np.linspace(0, self.drop_path_rate, self.depth)):
            keys = None
            if drop_keys is not None and max(rate, *thin) > 0:
                keys = jax.vmap(jax.random.fold_in, (0, None))(drop_keys, i)
            x = block(
                self.num_heads,
                self.mlp_ratio,
                float(rate),
                self.dtype,
                self.attention,
                self.dropout_rate,
                self.norm_eps,
                self.hidden_dropout_rate,
                name=f"block{i:02d}",
            )(x, attention_mask, keys)
            outputs.append(x)
        last = outputs[: -num_outputs - 1 : -1]
        if self.has_norm:
            norm = layer_norm(self.dtype, "norm", self.norm_eps)
            last = [norm(output) for output in last]
        return jnp.concatenate(last, axis=-1) if num_outputs > 1 else last[0]
