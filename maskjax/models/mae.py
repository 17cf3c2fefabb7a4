"""The masked autoencoder and SimMIM: the same parts, differently wired."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.models.layers import Dense, dropout
from maskjax.models.patches import sincos_positions
from maskjax.models.transformer import Transformer
from maskjax.typing import Array, Bool, DType, Float, Int, Key

position_kinds = ("sincos", "learned", "sincos_learned")
_FOLD_INPUT = 2**31  # keeps dropout's draws of the input apart from those of blocks
token_init = nn.initializers.normal(0.02)


class PositionEmbedding(nn.Module):
    """One vector a grid position: the fixed sin-cos table, or one that is learned.

    Attributes:
        grid: Patches along each axis.
        width: Width of the vectors.
        kind: "sincos"; "learned", from N(0, .02); or "sincos_learned", from the sin-cos table, as
            the reference MAE's fine-tuning does.
    """

    grid: Sequence[int]
    width: int
    kind: str = "sincos"

    @nn.compact
    def __call__(self) -> Float[Array, "1 L D"]:
        """The table, with a batch axis of one."""
        if self.kind == "learned":
            shape = (1, masking.grid_length(tuple(self.grid)), self.width)
            return self.param("table", token_init, shape)
        if self.kind not in position_kinds:
            raise ValueError(
                f"unknown position embedding {self.kind!r}: use one of {position_kinds}"
            )
        table = jnp.asarray(sincos_positions(self.grid, self.width))[None]
        if self.kind == "sincos_learned":
            return self.param("table", lambda key: table)
        return table


class Encoder(nn.Module):
    """A vision transformer over patches of any grid, on all of them or on the visible ones.

    Attributes:
        grid: Patches along each axis.
        width: Width of the residual stream.
        transformer: The blocks, as a module.
        positions: Kind of position embedding.
        dtype: Compute dtype.
        dropout_rate: Probability of dropping each number of what enters the blocks.
    """

    grid: Sequence[int]
    width: int
    transformer: Transformer
    positions: str = "sincos"
    dtype: DType = jnp.float32
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self,
        patches: Float[Array, "B L P"],
        *,
        ids_keep: Int[Array, "B K"] | None = None,
        is_masked: Bool[Array, "B L"] | None = None,
        attention_mask: Bool[Array, "B #H #tokens tokens"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
        num_outputs: int = 1,
    ) -> Float[Array, "B tokens D"]:
        """Encodes patches behind a class token.

        Args:
            patches: Patches in raster order.
            ids_keep: Encode only these positions; None = all.
            is_masked: Replace the embedding of these positions by the mask token (before the
                position is added), as SimMIM does; None = no mask token exists.
            attention_mask: True = may attend, over the class token and the encoded positions.
            drop_keys: One key an example for drop path and dropout; None at evaluation.
            num_outputs: How many of the last blocks to return side by side.

        Returns:
            Tokens [B, 1 + K or 1 + L, num_outputs * D], the class token first.
        """
        positions = PositionEmbedding(self.grid, self.width, self.positions, name="positions")()
        if ids_keep is not None:
            patches = masking.keep(patches, ids_keep)
            tiled = jnp.broadcast_to(positions, (patches.shape[0], *positions.shape[1:]))
            positions = masking.keep(tiled, ids_keep)
        x = Dense(self.width, self.dtype, name="patch_embed")(patches)
        if is_masked is not None:
            mask_token = self.param("mask_token", token_init, (self.width,))
            x = masking.fill_token(x, is_masked, mask_token.astype(self.dtype))
        x = x + positions.astype(self.dtype)
        class_token = self.param("class_token", token_init, (1, 1, self.width))
        class_token = jnp.broadcast_to(class_token.astype(self.dtype), (x.shape[0], 1, self.width))
        x = jnp.concatenate([class_token, x], axis=1)  # [B, 1 + K, D]
        if drop_keys is not None and self.dropout_rate:
            keys = jax.vmap(jax.random.fold_in, (0, None))(drop_keys, _FOLD_INPUT)
            x = dropout(x, self.dropout_rate, keys)
        return self.transformer(x, attention_mask, drop_keys, num_outputs=num_outputs)


class Decoder(nn.Module):
    """The MAE decoder: mask tokens take the hidden places, blocks, then a linear map to patches.

    He et al. 2022, section 3, in the order of the reference: linear to the decoder's width, mask
    tokens, unshuffle, positions, blocks, LayerNorm, linear, drop the class token.

    Attributes:
        grid: Patches along each axis.
        width: Width of the decoder.
        patch_numbers: P, numbers in a patch.
        transformer: The blocks, as a module.
        positions: Kind of position embedding.
        dtype: Compute dtype.
    """

    grid: Sequence[int]
    width: int
    patch_numbers: int
    transformer: Transformer
    positions: str = "sincos"
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self,
        tokens: Float[Array, "B tokens D_encoder"],
        ids_restore: Int[Array, "B L"],
        is_masked: Bool[Array, "B L"] | None = None,
    ) -> Float[Array, "B L P"]:
        """Predicts every patch from the encoded visible ones.

        Args:
            tokens: The encoder's output, class token first.
            ids_restore: Place of each position in (kept, masked) order.
            is_masked: Where given, these positions get the mask token even if they were encoded
                (a ratio that varies over static slots).

        Returns:
            Predicted patches in raster order, float32.
        """
        x = Dense(self.width, self.dtype, name="embed")(tokens)
        mask_token = self.param("mask_token", token_init, (self.width,)).astype(self.dtype)
        num_masked = ids_restore.shape[1] - (x.shape[1] - 1)
        fill = jnp.broadcast_to(mask_token, (x.shape[0], num_masked, self.width))
        y = masking.restore(x[:, 1:], fill, ids_restore)  # [B, L, D]
        if is_masked is not None:
            y = masking.fill_token(y, is_masked, mask_token)
        y = y + PositionEmbedding(self.grid, self.width, self.positions, name="positions")().astype(
            self.dtype
        )
        y = self.transformer(jnp.concatenate([x[:, :1], y], axis=1))
        return Dense(self.patch_numbers, self.dtype, name="predict")(y)[:, 1:].astype(jnp.float32)


class MaskedAutoencoder(nn.Module):
    """Encoder on visible patches, light decoder on all (He et al. 2022).

    Attributes:
        encoder: The encoder.
        decoder: The decoder.
    """

    encoder: Encoder
    decoder: Decoder

    def __call__(
        self,
        patches: Float[Array, "B L P"],
        hidden: masking.Masking,
        *,
        is_visible: Bool[Array, "B K"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
    ) -> Float[Array, "B L P"]:
        """Predicts every patch from those that `hidden` keeps.

        Args:
            patches: Patches in raster order.
            hidden: Which positions are hidden; the encoder runs on `hidden.ids_keep`.
            is_visible: Where the ratio varies over static slots (`masking.draw_slots`): False for
                a kept slot whose position is hidden; nobody attends to it. None = all are visible.
            drop_keys: One key an example for drop path; None at evaluation.

        Returns:
            Predicted patches, float32.
        """
        attention_mask, is_masked = None, None
        if is_visible is not None:
            attention_mask, is_masked = attended(is_visible), hidden.is_masked
        tokens = self.encoder(
            patches, ids_keep=hidden.ids_keep, attention_mask=attention_mask, drop_keys=drop_keys
        )
        return self.decoder(tokens, hidden.ids_restore, is_masked)

    def encode(
        self,
        patches: Float[Array, "B L P"],
        num_outputs: int = 1,
        is_seen: Bool[Array, "B L"] | None = None,
    ) -> Float[Array, "B tokens D"]:
        """Encodes all patches; class token first, the last `num_outputs` blocks side by side.

        Nobody attends to patches whose `is_seen` is False; None = all are seen.
        """
        seen = None if is_seen is None else attended(is_seen)
        return self.encoder(patches, attention_mask=seen, num_outputs=num_outputs)


def attended(is_visible: Bool[Array, "B K"]) -> Bool[Array, "B 1 1 tokens"]:
    """What every token may attend to: the class token and what is visible."""
    return jnp.pad(is_visible, ((0, 0), (1, 0)), constant_values=True)[:, None, None, :]


class SimMIM(nn.Module):
    """Mask tokens in the encoder's input and one linear head (Xie et al. 2022, section 3).

    Attributes:
        encoder: The encoder.
        patch_numbers: P, numbers in a patch.
        dtype: Compute dtype of the head.
        mask_token: Whether hidden patches become a learned token; False where the caller has
            already corrupted them (noise, zero).
    """

    encoder: Encoder
    patch_numbers: int
    dtype: DType = jnp.float32
    mask_token: bool = True

    def setup(self):
        """Makes the linear head."""
        self.predict = Dense(self.patch_numbers, self.dtype)

    def __call__(
        self,
        patches: Float[Array, "B L P"],
        hidden: masking.Masking,
        *,
        is_visible: Bool[Array, "B K"] | None = None,
        drop_keys: Key[Array, "B"] | None = None,
    ) -> Float[Array, "B L P"]:
        """Predicts every patch from an input whose hidden patches are replaced.

        Args:
            patches: Patches in raster order; already corrupted where `mask_token` is False.
            hidden: Which positions are hidden.
            is_visible: Ignored: there are no slots, and `hidden.is_masked` says it all.
            drop_keys: One key an example for drop path; None at evaluation.

        Returns:
            Predicted patches, float32.
        """
        del is_visible
        is_masked = hidden.is_masked if self.mask_token else None
        tokens = self.encoder(patches, is_masked=is_masked, drop_keys=drop_keys)
        return self.predict(tokens[:, 1:]).astype(jnp.float32)

    def encode(
        self,
        patches: Float[Array, "B L P"],
        num_outputs: int = 1,
        is_seen: Bool[Array, "B L"] | None = None,
    ) -> Float[Array, "B tokens D"]:
        """Encodes all patches, none hidden; see MAE's."""
        is_masked = jnp.zeros(patches.shape[:2], bool) if self.mask_token else None
        seen = None if is_seen is None else attended(is_seen)
        return self.encoder(
            patches, is_masked=is_masked, attention_mask=seen, num_outputs=num_outputs
        )
