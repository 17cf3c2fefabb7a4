"""Transformer blocks, shared by every modality."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.attention import AttentionMask
from maskjax.models.attention import SelfAttention
from maskjax.models.layers import Mlp, Style, drop_path, dropout, layer_norm, layer_norm_epsilon
from maskjax.models.rotary import Rotation
from maskjax.models.sizes import Kept
from maskjax.typing import Array, Bool, DType, Float, Key


class Block(nn.Module):
    """One transformer block, pre-norm (Dosovitskiy et al. 2021, section 3.1) or of another style.

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
        style: Where norms stand, whether there are biases and gates.
        is_first: Whether it is the first block of a stack.
        side: Keys before and behind its own place that a query may attend to; 0 = all.
        head_width: Of each head; 0 = all of them together are as wide as the stream.
        hidden: Hidden width of the MLP; 0 = by `mlp_ratio`.
    """

    num_heads: int
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32
    attention: str = "xla"
    dropout_rate: float = 0.0
    norm_eps: float = layer_norm_epsilon
    hidden_dropout_rate: float = 0.0
    style: Style = Style()
    is_first: bool = False
    side: int = 0
    head_width: int = 0
    hidden: int = 0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L D"],
        attention_mask: AttentionMask | Bool[Array, "B #H #L L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
        rotation: Rotation | None = None,
        head_weights: Float[Array, "*B H"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Attention and MLP, each added to the stream; see `SelfAttention`."""
        style, fold = self.style, jax.vmap(jax.random.fold_in, (0, None))
        drop, thin = [None, None], [None, None, None]
        if drop_keys is not None:
            drop = [fold(drop_keys, i) for i in range(2)]
            thin = [fold(drop_keys, i) for i in (2, 3, 4)]

        def added(x: Array, i: int, branch: Callable[[Array], Array], has_norm: bool) -> Array:
            norm = layer_norm(self.dtype, f"norm{i + 1}", self.norm_eps, style.has_bias)
            y = branch(norm(x) if style.norm_first and has_norm else x)
            y = drop_path(dropout(y, self.dropout_rate, thin[i]), self.drop_path_rate, drop[i])
            return x + y if style.norm_first else norm(x + y)

        options = (self.num_heads, self.dtype, self.attention, style, self.side, self.head_width)
        attention = SelfAttention(*options, name="attn")
        has_norm = style.first_norm or not self.is_first
        x = added(x, 0, lambda y: attention(y, attention_mask, rotation, head_weights), has_norm)
        hidden = self.hidden or round(x.shape[-1] * self.mlp_ratio)
        mlp = Mlp(hidden, self.dtype, self.hidden_dropout_rate, style, name="mlp")
        return added(x, 1, lambda y: mlp(y, thin[2]), True)


class Transformer(nn.Module):
    """A stack of blocks and, unless it is left out, a final LayerNorm.

    Where there is a window every `global_every`-th block sees everything, the first one too, and
    the others are local (Warner et al. 2024, ModernBERT, section 2.1.2).

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
        style: Where norms stand, whether there are biases and gates.
        window: Keys that a query of a local block may attend to besides that of its own place,
            half of them before it and half behind; 0 = all blocks are global.
        global_every: Of so many blocks one is global.
        kept: Heads, as wide as `num_heads` make them, and width of the MLP of each block, of a
            network made smaller; () = all are alike.
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
    style: Style = Style()
    window: int = 0
    global_every: int = 1
    kept: Kept = ()

    def is_local(self, i: int) -> bool:
        """Whether block i sees its window alone."""
        return self.window > 0 and i % self.global_every > 0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L D"],
        attention_mask: AttentionMask | Bool[Array, "B #H #L L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
        *,
        num_outputs: int = 1,
        rotations: Sequence[Rotation] | None = None,
        head_weights: Float[Array, "*B depth H"] | None = None,
    ) -> Float[Array, "B L D_out"]:
        """Runs the blocks in order and normalises.

        Args:
            x: Tokens.
            attention_mask: True = may attend.
            drop_keys: One key an example for drop path and dropout; None at evaluation.
            num_outputs: How many of the last blocks' outputs to return side by side, each under
                the same final LayerNorm, as DINO does for features (Caron et al. 2021, appendix).
            rotations: Rotary positions of each block; None = positions are in `x`.
            head_weights: What each head of each block gives is multiplied by, in all examples or
                in each; None = 1.

        Returns:
            Tokens [B, L, num_outputs * D], the last block's first.

        Raises:
            ValueError: more outputs than blocks, or a window of one key.
        """
        if self.window == 1:
            raise ValueError("a window of 1 key has no sides: choose 2 or more, or 0 for none")
        if not 1 <= num_outputs <= self.depth:
            raise ValueError(f"num_outputs {num_outputs} must be from 1 to the {self.depth} blocks")
        outputs, thin = [], (self.dropout_rate, self.hidden_dropout_rate)
        block = nn.remat(Block) if self.remat else Block
        for i, rate in enumerate(np.linspace(0, self.drop_path_rate, self.depth)):
            keys = None
            if drop_keys is not None and max(rate, *thin) > 0:
                keys = jax.vmap(jax.random.fold_in, (0, None))(drop_keys, i)
            heads, hidden = self.kept[i] if self.kept else (self.num_heads, 0)
            x = block(
                heads,
                self.mlp_ratio,
                float(rate),
                self.dtype,
                self.attention,
                self.dropout_rate,
                self.norm_eps,
                self.hidden_dropout_rate,
                self.style,
                i == 0,
                self.window // 2 if self.is_local(i) else 0,
                x.shape[-1] // self.num_heads if self.kept else 0,
                hidden,
                name=f"block{i:02d}",
            )(
                x,
                attention_mask,
                keys,
                None if rotations is None else rotations[i],
                None if head_weights is None else head_weights[..., i, :],
            )
            outputs.append(x)
        last = outputs[: -num_outputs - 1 : -1]
        if self.has_norm:
            norm = layer_norm(self.dtype, "norm", self.norm_eps, self.style.has_bias)
            last = [norm(output) for output in last]
        return jnp.concatenate(last, axis=-1) if num_outputs > 1 else last[0]
