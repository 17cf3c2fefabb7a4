"""Bidirectional transformer over ids: tokens of a text, items of a history."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.masking.attention import AttentionMask
from maskjax.models.layers import Dense, dropout, gelu, layer_norm, layer_norm_epsilon
from maskjax.models.rotary import Rotation, rotation
from maskjax.models.transformer import Transformer
from maskjax.typing import Array, DType, Float, Int, Key

_FOLD_INPUT, _FOLD_BLOCKS = 0, 1
# Devlin et al. 2019 draw tables with deviation .02 (the released code).
table_init = nn.initializers.normal(0.02)


class TokenEncoder(nn.Module):
    """Embeddings, positions and blocks (Devlin et al. 2019, section 3; Sun et al. 2019, 3).

    Positions are a learned table, or rotary: the blocks then turn queries and keys.

    Attributes:
        num_ids: Rows of the table of embeddings.
        width: D.
        blocks: The blocks, as a module.
        max_length: Rows of the table of positions; 0 = no such table.
        num_types: Rows of the table of token types; 0 = no such table.
        theta: Base of rotary positions in global blocks; 0 = none in any block.
        local_theta: The same in local blocks.
        dropout_rate: Of the embeddings.
        dtype: Compute dtype.
        norm_eps: Of the LayerNorm of the embeddings.
    """

    num_ids: int
    width: int
    blocks: Transformer
    max_length: int = 0
    num_types: int = 0
    theta: float = 0.0
    local_theta: float = 0.0
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32
    norm_eps: float = layer_norm_epsilon

    def setup(self):
        """Makes the tables and the LayerNorm."""
        self.table = self.param("table", table_init, (self.num_ids, self.width))
        if self.max_length:
            self.positions = self.param("positions", table_init, (self.max_length, self.width))
        if self.num_types:
            self.types = self.param("types", table_init, (self.num_types, self.width))
        self.norm = layer_norm(self.dtype, "norm", self.norm_eps, self.blocks.style.has_bias)

    def __call__(
        self,
        ids: Int[Array, "B L"],
        segment_ids: Int[Array, "B L"],
        positions: Int[Array, "B L"] | None = None,
        token_types: Int[Array, "B L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
        *,
        gate: Float[Array, "B L"] | None = None,
        attention_mask: AttentionMask | None = None,
        head_weights: Float[Array, "*B depth H"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Encodes each position by its segment.

        Args:
            ids: From 0 to num_ids - 1.
            segment_ids: Positions of one id see each other and no others; 0 = padding.
            positions: Of each id in its segment, from 0; None = that in the row. One beyond the
                table gives NaN.
            token_types: From 0 to num_types - 1; None = all 0.
            drop_keys: One key an example for dropout; None at evaluation.
            gate: m from 0 to 1, how much of each id is seen: its embedding times m, before the
                position is added; None = all.
            attention_mask: What every block may attend to within that; None = everything.
            head_weights: What each head of each block gives is multiplied by, in all examples or
                in each; None = 1.

        Returns:
            One vector a position; those of padding are not to be used.

        Raises:
            ValueError: More positions than the table has, where none are given.
        """
        keys = [None, None]
        if drop_keys is not None:
            fold = jax.vmap(jax.random.fold_in, (0, None))
            keys = [fold(drop_keys, number) for number in (_FOLD_INPUT, _FOLD_BLOCKS)]
        x = jnp.take(self.table, ids, axis=0, mode="clip")
        if gate is not None:
            x = masking.fill_gate(x, gate)
        if self.max_length:
            x = x + self._placed(ids.shape[1], positions)
        if self.num_types:
            rows = jnp.zeros((1, 1), jnp.int32) if token_types is None else token_types
            x = x + jnp.take(self.types, rows, axis=0, mode="clip")
        x = dropout(self.norm(x).astype(self.dtype), self.dropout_rate, keys[_FOLD_INPUT])
        allowed = masking.attention.segments(segment_ids=segment_ids - 1)
        return self.blocks(
            x,
            allowed if attention_mask is None else allowed & attention_mask,
            keys[_FOLD_BLOCKS],
            rotations=self._rotations(ids.shape[1], positions),
            head_weights=head_weights,
        )

    def _placed(self, length: int, positions: Array | None) -> Float[Array, "_ L D"]:
        """Rows of the table of positions."""
        if positions is not None:
            return jnp.take(self.positions, positions, axis=0, mode="fill", fill_value=jnp.nan)
        if length > self.max_length:
            raise ValueError(f"{length} ids are more than the {self.max_length} positions")
        return self.positions[None, :length]

    def _rotations(self, length: int, positions: Array | None) -> list[Rotation] | None:
        if not self.theta:
            return None
        if positions is None:
            positions = jnp.arange(length)[None]
        head_width = self.width // self.blocks.num_heads
        far = rotation(positions, head_width, self.theta)
        near = rotation(positions, head_width, self.local_theta or self.theta)
        blocks = self.blocks
        return [near if blocks.is_local(i) else far for i in range(blocks.depth)]


class MaskedTokens(nn.Module):
    """Predicts ids at chosen positions; the output layer is the table of embeddings.

    The head of Devlin et al. 2019 (released code) and Sun et al. 2019 (BERT4Rec, section 3.5,
    equation 7): dense, GELU, LayerNorm, product with the table, bias. The dense layer and the
    LayerNorm have biases where the encoder's have.

    Attributes:
        encoder: What encodes the positions.
        num_outputs: The first so many ids can be predicted.
        dtype: Compute dtype of the head; logits are float32.
    """

    encoder: TokenEncoder
    num_outputs: int
    dtype: DType = jnp.float32

    def setup(self):
        """Makes the head."""
        encoder, style = self.encoder, self.encoder.blocks.style
        self.dense = Dense(encoder.width, self.dtype, style.kernel_init(), style.has_bias)
        self.norm = layer_norm(self.dtype, "norm", encoder.norm_eps, style.has_bias)
        self.bias = self.param("bias", nn.initializers.zeros, (self.num_outputs,))

    def __call__(
        self,
        ids: Int[Array, "B L"],
        segment_ids: Int[Array, "B L"],
        places: Int[Array, "B K"],
        positions: Int[Array, "B L"] | None = None,
        token_types: Int[Array, "B L"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
        *,
        gate: Float[Array, "B L"] | None = None,
        attention_mask: AttentionMask | None = None,
        head_weights: Float[Array, "*B depth H"] | None = None,
    ) -> Float[Array, "B K V"]:
        """Scores all ids at some positions.

        Args:
            ids: With the mask token where hidden.
            segment_ids: See TokenEncoder, as all others.
            places: Positions to predict, from 0 to L - 1.
            positions: Of each id in its segment.
            token_types: One an id.
            drop_keys: One key an example for dropout; None at evaluation.
            gate: How much of each id is seen.
            attention_mask: What may be attended to within segments.
            head_weights: What heads are multiplied by, of all examples or of each.

        Returns:
            Logits, float32. Only `places` take the memory and time of the output layer.
        """
        x = self.encoder(
            ids,
            segment_ids,
            positions,
            token_types,
            drop_keys,
            gate=gate,
            attention_mask=attention_mask,
            head_weights=head_weights,
        )
        return self.logits(masking.keep(x, places))

    def logits(self, x: Float[Array, "B K D"]) -> Float[Array, "B K V"]:
        """Scores all ids by encoded positions; float32."""
        shape = (*x.shape[:2], self.num_outputs)
        x = self.norm(gelu(self.dense(x)))
        rows = x.reshape(-1, x.shape[-1]).astype(self.dtype)
        table = self.encoder.table[: self.num_outputs].astype(self.dtype)
        logits = jnp.matmul(rows, table.T, preferred_element_type=jnp.float32) + self.bias[None]
        return logits.reshape(shape)

    def encode(
        self,
        ids: Int[Array, "B L"],
        segment_ids: Int[Array, "B L"],
        positions: Int[Array, "B L"] | None = None,
        token_types: Int[Array, "B L"] | None = None,
        *,
        gate: Float[Array, "B L"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Encodes each position, as the encoder does, nothing dropped."""
        return self.encoder(ids, segment_ids, positions, token_types, gate=gate)
