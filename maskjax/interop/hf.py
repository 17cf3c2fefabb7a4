"""Hugging Face transformers: ViT and ViTMAE, with the names of versions 4 and 5.

Files hold the names of version 4, whichever version wrote them; in memory version 5 has its own,
and 5.24 writes a ViTMAE's decoder under a third.
"""

from collections.abc import Mapping
from typing import Any

from maskjax.interop.dialect import Dialect
from maskjax.interop.facts import Facts, numbers, pair
from maskjax.models.architecture import Architecture

ANTIALIAS = False  # interpolate_pos_encoding
MARK = "embeddings.patch_embeddings.projection.weight"  # how the end of a name shows the format

_TOPS = {
    "encoder/class_token": "embeddings.cls_token",
    "encoder/mask_token": "embeddings.mask_token",
    "encoder/positions/table": "embeddings.position_embeddings",
    "encoder/patch_embed": "embeddings.patch_embeddings.projection",
    "encoder/transformer/norm": "layernorm",
}
_ON_TOP = {
    "head": "classifier",
    "decoder/mask_token": "decoder.mask_token",
    "decoder/positions/table": "decoder.decoder_pos_embed",
    "decoder/embed": "decoder.decoder_embed",
    "decoder/transformer/norm": "decoder.decoder_norm",
    "decoder/predict": "decoder.decoder_pred",
}
_BLOCK_4 = {
    "norm1": "layernorm_before",
    "attn/query": "attention.attention.query",
    "attn/key": "attention.attention.key",
    "attn/value": "attention.attention.value",
    "attn/out": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp/fc1": "intermediate.dense",
    "mlp/fc2": "output.dense",
}
_BLOCK_5 = {
    "norm1": "layernorm_before",
    "attn/query": "attention.q_proj",
    "attn/key": "attention.k_proj",
    "attn/value": "attention.v_proj",
    "attn/out": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp/fc1": "mlp.fc1",
    "mlp/fc2": "mlp.fc2",
}


def _dialect(prefix: str, stack: str, decoder: str, block: Mapping[str, str]) -> Dialect:
    tops = {path: f"{prefix}{name}" for path, name in _TOPS.items()}
    tops |= _ON_TOP if prefix else {"pooler": "pooler.dense"}
    stacks = {"encoder/transformer": f"{prefix}{stack}"}
    return Dialect(tops, stacks | ({"decoder/transformer": decoder} if prefix else {}), block)


WHOLE = _dialect("vit.", "encoder.layer", "decoder.decoder_layers", _BLOCK_4)
ENCODER = _dialect("", "encoder.layer", "", _BLOCK_4)
DIALECTS = (
    WHOLE,
    ENCODER,
    _dialect("vit.", "encoder.layer", "decoder.decoder_encoder.layer", _BLOCK_4),
    _dialect("vit.", "layers", "decoder.decoder_layers", _BLOCK_5),
    _dialect("", "layers", "", _BLOCK_5),
)


def facts(config: Mapping[str, Any] | None, place: str) -> Facts:
    """Read a config.json.

    Raises:
        ValueError: there is none, or it is of a model that maskjax's encoder is not.
    """
    if config is None:
        raise ValueError(
            f"{place} has no config.json beside it, which says its heads and layer_norm_eps: give "
            "the folder that save_pretrained wrote"
        )
    kind, act = config.get("model_type"), config.get("hidden_act", "gelu")
    if kind not in ("vit", "vit_mae"):
        raise ValueError(
            f"{place} is a {kind!r} of transformers: only 'vit' and 'vit_mae' are read"
        )
    if act != "gelu":
        raise ValueError(f"{place} has hidden_act {act!r}: maskjax's encoder has 'gelu' alone")
    names = {
        "width": "hidden_size",
        "depth": "num_hidden_layers",
        "hidden": "intermediate_size",
        "channels": "num_channels",
    }
    is_mae = kind == "vit_mae"
    if is_mae:
        names |= {"decoder width": "decoder_hidden_size"}
        names |= {"decoder depth": "decoder_num_hidden_layers"}
    return Facts(
        heads=config.get("num_attention_heads", 12),
        decoder_heads=config.get("decoder_num_attention_heads", 16) if is_mae else 0,
        norm_eps=config.get("layer_norm_eps", 1e-12),
        image=pair(config.get("image_size", 224)),
        pool="class",
        claims=numbers(config, names),
    )


def config_of(architecture: Architecture, kind: str) -> dict[str, Any]:
    """Make the config.json of an export.

    Args:
        architecture: of the model.
        kind: "ViTMAEForPreTraining", "ViTForImageClassification" or "ViTModel".
    """

    def sides(values: tuple[int, ...]) -> int | list[int]:
        return values[0] if len(set(values)) == 1 else list(values)

    size, is_mae = architecture.encoder, kind == "ViTMAEForPreTraining"
    config: dict[str, Any] = {
        "architectures": [kind],
        "model_type": "vit_mae" if is_mae else "vit",
        "hidden_size": size.width,
        "num_hidden_layers": size.depth,
        "num_attention_heads": size.num_heads,
        "intermediate_size": architecture.hidden,
        "hidden_act": "gelu",
        "layer_norm_eps": architecture.norm_eps,
        "image_size": sides(architecture.image),
        "patch_size": sides(architecture.patch_size),
        "num_channels": architecture.channels,
        "qkv_bias": True,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    if is_mae and architecture.decoder is not None:
        small = architecture.decoder
        config |= {
            "decoder_hidden_size": small.width,
            "decoder_num_hidden_layers": small.depth,
            "decoder_num_attention_heads": small.num_heads,
            "decoder_intermediate_size": architecture.decoder_hidden,
        }
    return config
