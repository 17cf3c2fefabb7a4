"""Weights of Hugging Face's ViTMAE (transformers 4 and 5) as maskjax parameters."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_TOP = {
    "vit.embeddings.cls_token": "encoder/class_token",
    "vit.embeddings.position_embeddings": "encoder/positions/table",
    "vit.embeddings.patch_embeddings.projection": "encoder/patch_embed",
    "vit.layernorm": "encoder/transformer/norm",
    "decoder.mask_token": "decoder/mask_token",
    "decoder.decoder_pos_embed": "decoder/positions/table",
    "decoder.decoder_embed": "decoder/embed",
    "decoder.decoder_norm": "decoder/transformer/norm",
    "decoder.decoder_pred": "decoder/predict",
}
_BLOCK = {
    "attention.q_proj": "attn/query",
    "attention.k_proj": "attn/key",
    "attention.v_proj": "attn/value",
    "attention.o_proj": "attn/out",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "mlp.fc1": "mlp/fc1",
    "mlp.fc2": "mlp/fc2",
    "attention.attention.query": "attn/query",  # the names of transformers 4 from here on
    "attention.attention.key": "attn/key",
    "attention.attention.value": "attn/value",
    "attention.output.dense": "attn/out",
    "intermediate.dense": "mlp/fc1",
    "output.dense": "mlp/fc2",
}
_LAYER = re.compile(r"(vit\.(?:encoder\.layer|layers)|decoder\.decoder_layers)\.(\d+)\.(.+)")


def from_huggingface(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Translates a ViTMAEForPreTraining state dict into parameters of `MaskedAutoencoder`.

    The model must use learned position tables (`positions="learned"`); the class token's own
    position, zero in published weights, is added to the class token, and must be zero in the
    decoder, where maskjax has none.

    Args:
        weights: Arrays by name: linear kernels (out, in), patch projection (D, C, p, p).

    Returns:
        Nested float32 parameters.

    Raises:
        ValueError: a name that is not ViTMAE's, or a decoder class-token position that is not 0.
    """
    if np.any(weights["decoder.decoder_pos_embed"][:, 0]):
        raise ValueError(
            "decoder.decoder_pos_embed has a non-zero position for the class token, which "
            "the decoder of maskjax cannot hold: expected zeros in [:, 0]"
        )
    params: dict[str, Any] = {}
    for name, value in weights.items():
        path, array = _translate(name, np.asarray(value, np.float32))
        *parents, leaf = path.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = array
    own_position = np.asarray(weights["vit.embeddings.position_embeddings"], np.float32)[:, :1]
    params["encoder"]["class_token"] = params["encoder"]["class_token"] + own_position
    return params


def _translate(name: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    """The maskjax path of one tensor, and its values laid out as maskjax has them."""
    module, _, kind = name.rpartition(".")
    if name in _TOP:
        value = value[:, 1:] if name.endswith(("position_embeddings", "pos_embed")) else value
        return _TOP[name], value.reshape(-1) if name.endswith("mask_token") else value
    layer = _LAYER.fullmatch(module)
    if layer and layer[3] in _BLOCK:
        side = "decoder" if layer[1].startswith("decoder") else "encoder"
        module = f"{side}/transformer/block{int(layer[2]):02d}/{_BLOCK[layer[3]]}"
    elif module in _TOP:
        module = _TOP[module]
    else:
        raise ValueError(f"{name!r} is not a tensor of ViTMAEForPreTraining: remove it")
    if kind == "bias":
        return f"{module}/bias", value
    if value.ndim == 1:
        return f"{module}/scale", value
    if value.ndim == 4:  # (D, C, p, p) -> rows, columns, channels of a patch first
        value = value.transpose(0, 2, 3, 1).reshape(value.shape[0], -1)
    return f"{module}/kernel", value.T
