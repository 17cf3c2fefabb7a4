"""What a vision transformer is, as far as files of weights and their config.json say it."""

import dataclasses
import functools
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.masking.parameters import leaf_paths
from maskjax.models.mae import Decoder, Encoder
from maskjax.models.patches import grid_shape
from maskjax.models.sizes import Kept, Size
from maskjax.models.transformer import Transformer
from maskjax.typing import PyTree


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An encoder of patches, and the decoder where there is one.

    Attributes:
        grid: patches along each axis.
        patch_size: one side an axis.
        channels: of the inputs.
        encoder: width, depth and heads; 0 heads where they are not known.
        hidden: width of the MLPs.
        norm_eps: of the LayerNorms.
        positions: "sincos" where the table is computed, else a parameter holds it.
        pool: what a head reads: the "class" token, the "mean" of the patches, or "" where that is
            not known or neither.
        decoder: width, depth and heads, None without one.
        decoder_hidden: width of its MLPs.
        has_norm: whether a LayerNorm stands behind the encoder's blocks.
        kept: what each block of the encoder has, where they differ; see `models.sizes.Kept`.
        decoder_kept: the same of the decoder.
    """

    grid: tuple[int, ...]
    patch_size: tuple[int, ...]
    channels: int
    encoder: Size
    hidden: int
    norm_eps: float
    positions: str = "learned"
    pool: str = ""
    decoder: Size | None = None
    decoder_hidden: int = 0
    has_norm: bool = True
    kept: Kept = ()
    decoder_kept: Kept = ()

    @property
    def image(self) -> tuple[int, ...]:
        """Pixels along each axis."""
        return tuple(count * side for count, side in zip(self.grid, self.patch_size, strict=True))


def architecture_of(
    model: Any, shape: Sequence[int], patch_size: Sequence[int], pool: str
) -> Architecture:
    """Describe the model of a task.

    Args:
        model: has an `encoder`, and a `decoder` where there is one.
        shape: sizes of one example, channels last.
        patch_size: one side an axis.
        pool: what the features or the head are made of.
    """

    def size(module: Any) -> tuple[Size, int]:
        blocks = module.transformer
        hidden = round(module.width * blocks.mlp_ratio)
        return Size(module.width, blocks.depth, blocks.num_heads), hidden

    large, hidden = size(model.encoder)
    has_decoder = getattr(model, "decoder", None) is not None
    small, small_hidden = size(model.decoder) if has_decoder else (None, 0)
    small_kept = model.decoder.transformer.kept if has_decoder else ()
    return Architecture(
        grid=grid_shape(shape, patch_size),
        patch_size=tuple(patch_size),
        channels=shape[-1],
        encoder=large,
        hidden=hidden,
        norm_eps=model.encoder.transformer.norm_eps,
        positions=model.encoder.positions,
        pool=pool if pool in ("class", "mean") else "",
        decoder=small,
        decoder_hidden=small_hidden,
        has_norm=model.encoder.transformer.has_norm,
        kept=model.encoder.transformer.kept,
        decoder_kept=small_kept,
    )


def encoder_of(architecture: Architecture) -> Encoder:
    """Make the encoder, for float32."""
    blocks = _blocks(architecture.encoder, architecture.hidden, architecture.norm_eps)
    blocks = blocks.clone(has_norm=architecture.has_norm, kept=architecture.kept)
    width = architecture.encoder.width
    return Encoder(architecture.grid, width, blocks, architecture.positions)


def decoder_of(architecture: Architecture) -> Decoder | None:
    """Make the decoder, for float32; None without one."""
    small = architecture.decoder
    if small is None:
        return None
    blocks = _blocks(small, architecture.decoder_hidden, architecture.norm_eps)
    blocks = blocks.clone(kept=architecture.decoder_kept)
    numbers = math.prod(architecture.patch_size) * architecture.channels
    return Decoder(architecture.grid, small.width, numbers, blocks, architecture.positions)


@functools.cache  # tracing a model takes a second
def shapes_of(architecture: Architecture) -> Mapping[str, tuple[int, ...]]:
    """List the parameters of an encoder, and of a decoder where there is one: {path: shape}."""
    encoder, decoder = encoder_of(architecture), decoder_of(architecture)
    length = math.prod(architecture.grid)
    numbers = math.prod(architecture.patch_size) * architecture.channels

    def draw() -> dict[str, Any]:
        key = jax.random.key(0)
        found = {"encoder": encoder.init(key, jnp.zeros((1, length, numbers)))["params"]}
        if decoder is not None:
            tokens = jnp.zeros((1, 1 + length, architecture.encoder.width))
            order = jnp.arange(length)[None]
            found["decoder"] = decoder.init(key, tokens, order)["params"]
        return found

    return leaf_shapes(jax.eval_shape(draw))


def leaf_shapes(params: PyTree) -> Mapping[str, tuple[int, ...]]:
    """List the shapes of parameters, by path; nobody can change the list."""
    leaves = zip(leaf_paths(params), jax.tree.leaves(params), strict=True)
    return types.MappingProxyType({path: tuple(leaf.shape) for path, leaf in leaves})


def _blocks(size: Size, hidden: int, norm_eps: float) -> Transformer:
    heads = size.num_heads or 1
    return Transformer(size.depth, heads, hidden / size.width, norm_eps=norm_eps)
