"""timm's VisionTransformer: vit_* and deit_* with a class token and nothing else beside."""

import re
from collections.abc import Mapping
from typing import Any

from maskjax.interop.dialect import Dialect
from maskjax.interop.facts import Facts, numbers, pair
from maskjax.models.architecture import Architecture

ANTIALIAS = True  # resample_abs_pos_embed
MARK = "patch_embed.proj.weight"

TOPS = {
    "encoder/class_token": "cls_token",
    "encoder/positions/table": "pos_embed",
    "encoder/patch_embed": "patch_embed.proj",
    "encoder/transformer/norm": "norm",
    "head/norm": "fc_norm",
    "head": "head",
}
BLOCK = {
    "norm1": "norm1",
    "attn/qkv": "attn.qkv",
    "attn/out": "attn.proj",
    "norm2": "norm2",
    "mlp/fc1": "mlp.fc1",
    "mlp/fc2": "mlp.fc2",
}
WHOLE = Dialect(TOPS, {"encoder/transformer": "blocks"}, BLOCK)
DIALECTS = (WHOLE,)
_HEADS = {"tiny": 3, "small": 6, "base": 12, "large": 16, "huge": 16}
_NORMALISED_MEAN = "mean of the patches behind the norm"


def facts(config: Mapping[str, Any] | None, place: str) -> Facts:
    """Read a config.json; without one the heads stay unknown.

    Raises:
        ValueError: it is of a model that maskjax's encoder is not.
    """
    if config is None:
        return Facts()
    name, args = str(config.get("architecture", "")), dict(config.get("model_args") or {})
    if not name.startswith(("vit_", "deit_")):
        raise ValueError(f"{place} is timm's {name!r}: only vit_* and deit_* are read")
    for key, plain in {"act_layer": "gelu", "norm_layer": None, "class_token": True}.items():
        if args.get(key) not in (None, plain):
            raise ValueError(
                f"{place} has model_args.{key} {args[key]!r}, which maskjax's encoder has not"
            )
    kind = re.search(r"_(tiny|small|base|large|huge)_", name)
    input_size = (config.get("pretrained_cfg") or {}).get("input_size")
    image = args.get("img_size") or (input_size[1:] if input_size else ())
    pool = args.get("global_pool", config.get("global_pool", "token"))
    means = "mean" if args.get("fc_norm") is not False else _NORMALISED_MEAN
    return Facts(
        heads=args.get("num_heads", _HEADS[kind[1]] if kind else 0),
        image=pair(image) if image else (),
        pool={"token": "class", "avg": means}.get(pool, str(pool)),
        claims=numbers(args, {"width": "embed_dim", "depth": "depth", "channels": "in_chans"}),
    )


def config_of(
    architecture: Architecture,
    num_classes: int,
    *,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
) -> dict[str, Any]:
    """Make the config.json that `timm.create_model("local-dir:FOLDER", pretrained=True)` reads.

    Args:
        architecture: of the model; it must have timm's `norm_eps`.
        num_classes: of the head; 0 without one.
        mean: of the inputs, a number a channel; () where it is not known.
        std: their deviation.
    """
    size, is_mean = architecture.encoder, architecture.pool == "mean"
    args: dict[str, Any] = {
        "img_size": list(architecture.image),
        "patch_size": list(architecture.patch_size),
        "in_chans": architecture.channels,
        "embed_dim": size.width,
        "depth": size.depth,
        "num_heads": size.num_heads,
        "mlp_ratio": architecture.hidden / size.width,
        "num_classes": num_classes,
        "global_pool": "avg" if is_mean else "token",
        "fc_norm": is_mean and num_classes > 0,
    }
    pretrained: dict[str, Any] = {
        "input_size": [architecture.channels, *architecture.image],
        "fixed_input_size": True,
        "interpolation": "bicubic",
        "num_classes": num_classes,
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    }
    if mean:
        pretrained |= {"mean": list(mean), "std": list(std)}
    return {
        "architecture": "vit_base_patch16_224",  # model_args say what it really is
        "num_classes": num_classes,
        "num_features": size.width,
        "model_args": args,
        "pretrained_cfg": pretrained,
    }
