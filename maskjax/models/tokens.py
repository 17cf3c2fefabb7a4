"""Bidirectional transformer over ids: tokens of a text, items of a history."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.models.layers import Dense, dropout, gelu, layer_norm
from maskjax.models.transformer import Transformer
from maskjax.typing import Array, Bool, DType, Float, Int, Key

_FOLD_INPUT, _FOLD_BLOCKS = 0, 1
# Devlin et al. 2019 draw tables with deviation .02 (the released code).
_table_init = nn.initializers.normal(0.02)


class TokenEncoder(nn.Module):
    """Embeddings, learned positions and blocks (Devlin et al. 2019, section 3; Sun et al. 2019, 3).

    The blocks normalise before attention and MLP, as all in this package, where the papers'
    normalise behind them.

    Attributes:
        num_ids: Rows of the table of embeddings.
        max_length: Rows of the table of positions.
        width: D.
        depth: Number of blocks.
        num_heads: Attention heads in each.
        mlp_ratio: Hidden width of the MLPs over the width.
        dropout_rate: Of the embeddings and of what each branch adds.
        dtype: Compute dtype.
        attention: One of `masking.attention.IMPLEMENTATIONS`.
        remat: Recompute each block in the backward pass instead of keeping its activations.
    """

    num_ids: int
    max_length: int
    width: int
    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32
    attention: str = "xla"
    remat: bool = False

    def setup(self):
        """Makes the tables and the layers."""
        self.table = self.param("table", _table_init, (self.num_ids, self.width))
        self.positions = self.param("positions", _table_init, (self.max_length, self.width))
        self.norm = layer_norm(self.dtype, "norm")
        self.blocks = Transformer(
            self.depth,
            self.num_heads,
            self.mlp_ratio,
            dtype=self.dtype,
            attention=self.attention,
            remat=self.remat,
            dropout_rate=self.dropout_rate,
        )

    def __call__(
        self,
        ids: Int[Array, "B L"],
        is_valid: Bool[Array, "B L"],
        drop_keys: Key[Array, "B"] | None = None,
        gate: Float[Array, "B L"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Encodes each position by all that are valid.

        Args:
            ids: From 0 to num_ids - 1.
            is_valid: False for padding, which nothing attends to.
            drop_keys: One key an example for dropout; None at evaluation.
            gate: m from 0 to 1, how much of each id is seen: its embedding times m, before the
                position is added; None = all.

        Returns:
            One vector a position; those of padding are not to be used.

        Raises:
            ValueError: More positions than the table has.
        """
        length = ids.shape[1]
        if length > self.max_length:
            raise ValueError(f"{length} ids are more than the {self.max_length} positions")
        keys = [None, None]
        if drop_keys is not None:
            fold = jax.vmap(jax.random.fold_in, (0, None))
            keys = [fold(drop_keys, number) for number in (_FOLD_INPUT, _FOLD_BLOCKS)]
        x = jnp.take(self.table, ids, axis=0, mode="clip")
        if gate is not None:
            x = masking.fill_gate(x, gate)
        x = x + self.positions[None, :length]
        x = dropout(self.norm(x).astype(self.dtype), self.dropout_rate, keys[_FOLD_INPUT])
        attention_mask = masking.attention.padding(is_valid=is_valid).dense(1, length)
        return self.blocks(x, attention_mask, keys[_FOLD_BLOCKS])


class MaskedTokens(nn.Module):
    """Predicts ids at chosen positions; the output layer is the table of embeddings.

    The head of Devlin et al. 2019 (released code) and Sun et al. 2019 (BERT4Rec, section 3.5,
    equation 7): dense, GELU, LayerNorm, product with the table, bias.

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
        self.dense = Dense(self.encoder.width, self.dtype)
        self.norm = layer_norm(self.dtype, "norm")
        self.bias = self.param("bias", nn.initializers.zeros, (self.num_outputs,))

    def __call__(
        self,
        ids: Int[Array, "B L"],
        is_valid: Bool[Array, "B L"],
        places: Int[Array, "B K"],
        drop_keys: Key[Array, "B"] | None = None,
        gate: Float[Array, "B L"] | None = None,
    ) -> Float[Array, "B K V"]:
        """Scores all ids at some positions.

        Args:
            ids: With the mask token where hidden.
            is_valid: False for padding.
            places: Positions to predict, from 0 to L - 1.
            drop_keys: One key an example for dropout; None at evaluation.
            gate: See TokenEncoder.

        Returns:
            Logits, float32.
        """
        x = masking.keep(self.encoder(ids, is_valid, drop_keys, gate), places)  # [B, K, D]
        x = self.norm(gelu(self.dense(x)))
        rows = x.reshape(-1, x.shape[-1]).astype(self.dtype)
        table = self.encoder.table[: self.num_outputs].astype(self.dtype)
        logits = jnp.matmul(rows, table.T, preferred_element_type=jnp.float32) + self.bias[None]
        return logits.reshape(*places.shape, self.num_outputs)

    def encode(
        self,
        ids: Int[Array, "B L"],
        is_valid: Bool[Array, "B L"],
        gate: Float[Array, "B L"] | None = None,
    ) -> Float[Array, "B L D"]:
        """Encodes each position, as the encoder does, nothing dropped."""
        return self.encoder(ids, is_valid, gate=gate)
