"""Vision transformers from a config: modules, sizes, what they cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.models.head import POOLS, Head, WithHead
from maskjax.models.mae import Decoder, Encoder, MaskedAutoencoder, SimMIM, position_kinds
from maskjax.models.sizes import Size, decoder_sizes, encoder_sizes, transformer_flops
from maskjax.models.transformer import Transformer
from maskjax.tasks.options import NONE, check_choice, kept_blocks, ratio_schedule

MAX_WIDTH, MAX_DEPTH = 2**16, 2**10  # far above any model: more is a slip of the keyboard


def _size(model: Any, which: str, table: Mapping[str, Size]) -> Size:
    """A named size; what the config sets itself wins."""
    named = table[model.size] if model.size else Size(0, 0, 0)
    own = model[which]
    size = Size(own.width or named.width, own.depth or named.depth, own.heads or named.num_heads)
    if min(size) < 1:
        raise ValueError(
            f"model.{which} has width {size.width}, depth {size.depth} and heads "
            f"{size.num_heads}: set each to at least 1, or model.size to one of {tuple(table)}"
        )
    if size.width > MAX_WIDTH or size.depth > MAX_DEPTH:
        raise ValueError(
            f"model.{which} has width {size.width} and depth {size.depth}: set them to at most "
            f"{MAX_WIDTH} and {MAX_DEPTH}"
        )
    if size.width % size.num_heads:
        raise ValueError(
            f"model.{which}.width {size.width} is not a multiple of its {size.num_heads} heads: "
            "change one of them"
        )
    return size


def _check_options(model: Any, parts: Sequence[str]) -> None:
    """Refuses options of `config.model` that are unknown, out of range or without effect."""
    own = [model[part][key] for part in parts for key in ("width", "depth", "heads")]
    if model.size:
        check_choice("model.size", model.size, tuple(encoder_sizes))
    if model.size and all(own):
        raise ValueError(
            f"model.size {model.size!r} decides nothing where width, depth and heads of "
            f"model.{' and model.'.join(parts)} are set: set those to 0 that it shall decide"
        )
    check_choice("model.dtype", model.dtype, ("float32", "bfloat16"))
    check_choice("model.positions", model.positions, position_kinds)
    check_choice("model.attention", model.attention, masking.attention.IMPLEMENTATIONS)
    if model.attention == "cudnn" and model.dtype != "bfloat16":
        raise ValueError("model.attention 'cudnn' needs model.dtype 'bfloat16'")
    if not 0 < model.norm_eps < 1:
        raise ValueError(f"model.norm_eps {model.norm_eps} must be above 0 and below 1, as 1e-6")
    if not 0 <= model.drop_path < 1:
        raise ValueError(f"model.drop_path {model.drop_path} must be at least 0 and below 1")
    if not 0 <= model.dropout < 1:
        raise ValueError(f"model.dropout {model.dropout} must be at least 0 and below 1")


def _transformer(
    model: Any,
    size: Size,
    drop_path: float,
    dropout: float = 0.0,
    *,
    has_norm: bool = True,
    which: str = "encoder",
) -> Transformer:
    """The blocks of a size."""
    dtype = jnp.dtype(model.dtype)
    if model.attention == "cudnn":
        masking.attention.check_cudnn(dtype, size.width // size.num_heads)
        if jax.default_backend() != "gpu":
            raise ValueError(
                "model.attention 'cudnn' needs an NVIDIA GPU, and JAX has the backend "
                f"{jax.default_backend()!r}: use 'xla' or 'blockwise'"
            )
    hidden = model[which].get("hidden", 0)  # of the MLPs, of networks that were made smaller
    return Transformer(
        depth=size.depth,
        num_heads=size.num_heads,
        mlp_ratio=hidden / size.width if hidden else 4.0,
        drop_path_rate=drop_path,
        dropout_rate=dropout,
        hidden_dropout_rate=dropout,
        dtype=dtype,
        attention=model.attention,
        remat=model.remat,
        norm_eps=model.norm_eps,
        has_norm=has_norm,
        kept=kept_blocks(model[which], f"model.{which}", size),
    )


def _encoder(model: Any, grid: tuple[int, ...], *, has_norm: bool = True) -> tuple[Encoder, Size]:
    """The encoder of `config.model`, and its size."""
    size = _size(model, "encoder", encoder_sizes)
    blocks = _transformer(model, size, model.drop_path, model.dropout, has_norm=has_norm)
    dtype = jnp.dtype(model.dtype)
    return Encoder(grid, size.width, blocks, model.positions, dtype, model.dropout), size


def build_model(
    config: Any, grid: tuple[int, ...], patch_numbers: int
) -> tuple[MaskedAutoencoder | SimMIM, float]:
    """Makes the module of a config and counts what a training step of it costs.

    Args:
        config: The whole config; "model", "mask" and "total_steps" are read.
        grid: Patches along each axis.
        patch_numbers: P, numbers in a patch.

    Returns:
        The module, and the matrix-product FLOPs of forward and backward (3 x forward) for one
        example, by `transformer_flops` and the linear maps around the transformers.

    Raises:
        ValueError: a size, dtype, backend or rate that does not fit.
    """
    model, length = config.model, math.prod(grid)
    _check_options(model, ("encoder", "decoder") if model.name == "mae" else ("encoder",))
    dtype = jnp.dtype(model.dtype)
    encoder, size = _encoder(model, grid)
    if not 1 <= model.feature_blocks <= size.depth:
        raise ValueError(
            f"model.feature_blocks {model.feature_blocks} must be from 1 to the encoder's "
            f"{size.depth} blocks (model.encoder.depth)"
        )
    visible = length - ratio_schedule(config).min_num_masked(length)
    encoded = visible if model.name == "mae" else length
    forward = _encoder_flops(encoder, size, encoded, patch_numbers)
    if model.name == "simmim":
        forward += 2 * (1 + length) * size.width * patch_numbers
        has_token = config.mask.fill == "token"
        return SimMIM(encoder, patch_numbers, dtype, mask_token=has_token), 3.0 * forward
    small = _size(model, "decoder", decoder_sizes)
    blocks = _transformer(model, small, 0.0, which="decoder")
    decoder = Decoder(grid, small.width, patch_numbers, blocks, model.positions, dtype)
    forward += 2 * (1 + encoded) * size.width * small.width
    forward += transformer_flops(small, 1 + length, blocks.mlp_ratio, blocks.kept)
    forward += 2 * (1 + length) * small.width * patch_numbers
    return MaskedAutoencoder(encoder, decoder), 3.0 * forward


def build_with_head(
    config: Any, grid: tuple[int, ...], patch_numbers: int, num_outputs: int
) -> tuple[WithHead, float]:
    """Makes an encoder with a linear head, and counts what a training step of it costs.

    Args:
        config: The whole config; "model", "mask" and "total_steps" are read.
        grid: Patches along each axis.
        patch_numbers: P, numbers in a patch.
        num_outputs: Of the head.

    Returns:
        The module and its FLOPs, as `build_model`.

    Raises:
        ValueError: a size, dtype, backend or rate that does not fit.
    """
    model, length, fill = config.model, math.prod(grid), config.mask.fill
    _check_options(model, ("encoder",))
    check_choice("model.pool", model.pool, POOLS)
    is_mean, is_masked = model.pool == "mean", config.mask.rule != NONE
    encoder, size = _encoder(model, grid, has_norm=not is_mean)
    hidden = ratio_schedule(config).min_num_masked(length) if fill == "drop" else 0
    forward = _encoder_flops(encoder, size, length - hidden, patch_numbers)
    forward += 2 * size.width * num_outputs
    head = Head(
        num_outputs, jnp.dtype(model.dtype), has_norm=is_mean, norm_eps=model.norm_eps
    )  # fmt: skip
    drops, has_token = is_masked and fill == "drop", is_masked and fill == "token"
    return WithHead(encoder, head, model.pool, drops, has_token), 3.0 * forward


def _encoder_flops(encoder: Encoder, size: Size, encoded: int, patch_numbers: int) -> float:
    """Of one forward pass over so many patches and a class token."""
    blocks = encoder.transformer
    inside = transformer_flops(size, 1 + encoded, blocks.mlp_ratio, blocks.kept)
    return inside + 2 * encoded * patch_numbers * size.width
