"""Heads on encoders of ids, as transformers has them: for a whole text, or for each token."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.masking.attention import AttentionMask
from maskjax.models.layers import Dense, dropout, gelu, layer_norm
from maskjax.models.text import STYLES, TextArchitecture, model_of
from maskjax.models.tokens import TokenEncoder, table_init
from maskjax.typing import Array, Bool, Float, Int, Key

POOLS = ("class", "mean")
EACH = "each"  # of the tokens, in place of a pool
_FOLD_HEAD = 7  # keeps its dropout apart from the encoder's
_kernel_init = jax.nn.initializers.truncated_normal(0.02)  # Devlin et al. 2019, released code


class TextHead(Dense):
    """A linear map, behind a layer of its own or not.

    Attributes:
        between: "tanh", a dense layer and that (Devlin et al. 2019, released code); "gelu", a dense
            layer, GELU and a LayerNorm (Warner et al. 2024, released code); "" for nothing.
        has_bias_between: Whether that layer has biases.
        norm_eps: Of the LayerNorm.
        dropout_rate: Of what the linear map reads.
    """

    kernel_init: nn.initializers.Initializer = _kernel_init
    between: str = ""
    has_bias_between: bool = True
    norm_eps: float = 1e-5
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B *L D"], drop_keys: Key[Array, "B"] | None = None
    ) -> tuple[Float[Array, "B *rest D"], Float[Array, "B *rest N"]]:
        """What the linear map reads, and what it makes of it, float32."""
        if self.between:
            options = (self.dtype, self.kernel_init, self.has_bias_between)
            x = Dense(x.shape[-1], *options, name="dense")(x)
            if self.between == "tanh":
                x = jnp.tanh(x)
            else:
                x = layer_norm(self.dtype, "norm", self.norm_eps, self.has_bias_between)(gelu(x))
        dropped = dropout(x, self.dropout_rate, drop_keys)
        return x.astype(jnp.float32), super().__call__(dropped).astype(jnp.float32)


class Bag(nn.Module):
    """Embeddings of ids and nothing else: the encoder of networks that have no order of words.

    Attributes:
        num_ids: Rows of the table.
        width: D.
    """

    num_ids: int
    width: int

    @nn.compact
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
    ) -> Float[Array, "B L D"]:
        """Look each id up, times its gate; what else a `TokenEncoder` reads changes nothing."""
        del segment_ids, positions, token_types, drop_keys, attention_mask
        table = self.param("table", table_init, (self.num_ids, self.width))
        x = jnp.take(table, ids, axis=0, mode="clip")
        return x if gate is None else masking.fill_gate(x, gate)


class TextWithHead(nn.Module):
    """An encoder of ids with a head: for a vector a text, or for each token.

    Attributes:
        encoder: The encoder.
        head: The head.
        pool: What the head reads: the "class" token, which is the first, the "mean" of all tokens
            but padding, or "each" of them.
    """

    encoder: TokenEncoder | Bag
    head: TextHead
    pool: str = "class"

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
    ) -> tuple[Float[Array, "B *rest D"], Float[Array, "B *rest N"]]:
        """Predict from ids.

        Args:
            ids: With the mask token where hidden.
            segment_ids: 1 for the text, 0 for padding and for what left the attention: nobody
                attends to it, and no mean counts it.
            positions: Of each id in the text.
            token_types: One an id.
            drop_keys: One key an example for dropout; None at evaluation.
            gate: m from 0 to 1, how much of each id is seen.
            attention_mask: What may be attended to within that.

        Returns:
            What the linear map of the head reads, and its outputs, float32; with a row a token
            where it reads each.
        """
        x = self.encoder(
            ids,
            segment_ids,
            positions,
            token_types,
            drop_keys,
            gate=gate,
            attention_mask=attention_mask,
        )
        if drop_keys is not None:
            drop_keys = jax.vmap(lambda key: jax.random.fold_in(key, _FOLD_HEAD))(drop_keys)
        return self.head(_pooled(x, self.pool, segment_ids > 0), drop_keys)


def _pooled(x: Float[Array, "B L D"], pool: str, is_seen: Bool[Array, "B L"]) -> Array:
    if pool == EACH:
        return x
    if pool == "class":
        return x[:, 0]
    weights = is_seen.astype(x.dtype)[..., None]
    return (x * weights).sum(1) / jnp.maximum(weights.sum(1), 1)


def with_head(architecture: TextArchitecture, num_outputs: int, **options) -> TextWithHead:
    """Make an encoder with the head that transformers gives it.

    BERT and RoBERTa read the first token by a dense layer and tanh, and each token as it is;
    ModernBERT reads all by the dense layer, GELU and LayerNorm of its language model.

    Args:
        architecture: of the encoder; its `pool` says what the head reads.
        num_outputs: N.
        **options: of `model_of`.
    """
    it = architecture
    model = model_of(it, **options)
    is_modern = it.form == "modernbert"
    head = TextHead(
        num_outputs,
        model.dtype,
        between="gelu" if is_modern else "" if it.pool == EACH else "tanh",
        has_bias_between=STYLES[it.form].has_bias,
        norm_eps=it.norm_eps,
        dropout_rate=model.encoder.dropout_rate,
    )
    return TextWithHead(model.encoder, head, it.pool)
