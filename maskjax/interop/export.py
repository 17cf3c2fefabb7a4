"""Parameters of maskjax as files that transformers and timm load: safetensors and a config.json."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save_file

from maskjax.interop import dialect, hf, layout, timm
from maskjax.interop.facts import REFERENCE_EPS
from maskjax.interop.files import CONFIG, WEIGHTS
from maskjax.interop.text import write_text
from maskjax.models.architecture import Architecture, shapes_of
from maskjax.models.patches import sincos_positions
from maskjax.models.resnet_sizes import ResNetArchitecture
from maskjax.models.sizes import encoder_sizes
from maskjax.models.text import TextArchitecture

FORMATS = ("hf", "timm")
PARTS = ("", "encoder")
_PREPROCESSING = "preprocessor_config.json"  # of transformers
_BICUBIC = 3  # as PIL numbers it


class About(NamedTuple):
    """What exports say beside the weights; what is not known is left out of them.

    Attributes:
        mask_ratio: of the pretraining, None where it is not known.
        norm_pix: whether its targets are normalised patches; None likewise.
        class_names: of a head's outputs.
        mean: of the inputs in [0, 1], a number a channel.
        std: their deviation.
        special: ids of a text encoder's special tokens, such as {"pad_token_id": 0}.
        files: to write beside a text encoder, {name: content}: its tokenizer.
    """

    mask_ratio: float | None = None
    norm_pix: bool | None = None
    class_names: Sequence[str] = ()
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    special: Mapping[str, int] = {}
    files: Mapping[str, str] = {}


def write(
    folder: Path,
    format: str,
    params: Mapping[str, Any],
    architecture: Architecture | ResNetArchitecture | TextArchitecture,
    about: About | None = None,
    *,
    part: str = "",
) -> list[str]:
    """Write weights into an empty folder.

    Args:
        folder: it exists.
        format: one of `FORMATS`.
        params: {path: array} of an encoder, and where there are of a decoder and a head.
        architecture: what they are of.
        about: what else is known.
        part: "encoder" to leave decoder and head out; "" to keep what the format has.

    Returns:
        Lines for the user: how it is loaded, and what was left out.

    Raises:
        ValueError: the format cannot hold such a model; the line says what can.
    """
    about = about or About()
    if isinstance(architecture, ResNetArchitecture):
        raise ValueError(
            f"--format={format} holds vision transformers and text encoders, and this is a "
            "residual network: export its run by --format=stablehlo, onnx or savedmodel"
        )
    if architecture.kept or getattr(architecture, "decoder_kept", ()):
        raise ValueError(
            f"--format={format} holds blocks that are alike, and here some lost heads or "
            "more hidden units than others: use --format=stablehlo, onnx or savedmodel"
        )
    if isinstance(architecture, TextArchitecture):
        if format != "hf":
            raise ValueError(f"--format={format} holds models of images: use --format=hf")
        names = about.class_names
        lines = write_text(
            folder, params, architecture, about.special, part=part, class_names=names
        )
        for name, content in about.files.items():
            (folder / name).write_text(content)
        return lines
    if len(architecture.grid) != 2:
        raise ValueError(
            f"--format={format} holds models of images, and this one's inputs have "
            f"{len(architecture.grid)} axes"
        )
    has_head = "head/kernel" in params and not part
    has_decoder = format == "hf" and architecture.decoder is not None and not (part or has_head)
    sides = ("encoder/", *(("decoder/",) if has_decoder else ()), *(("head/",) if has_head else ()))
    kept = {path: np.asarray(leaf) for path, leaf in params.items() if path.startswith(sides)}
    kept.pop("encoder/mask_token", None)  # SimMIM's: whole inputs need none
    left = sorted(set(params) - set(kept))
    _check_whole(kept, architecture)
    _add_tables(kept, architecture, has_decoder)
    if format == "hf":
        spoken, config, load = _hf(folder, kept, architecture, about, has_head, has_decoder)
    else:
        spoken, config, load = _timm(folder, kept, architecture, about, has_head)
    laid_out = layout.to_torch(kept, architecture.patch_size, modules=spoken.block)
    tensors = dialect.to_names(spoken, laid_out)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors closes it to other readers
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    lines = [f"load it by {load}"]
    if left:
        lines.append(f"left out: {_parts(left)}")
    return lines


def known_heads(architecture: Architecture) -> Architecture:
    """Fill in heads that a file does not say, where all published models of the width have them.

    Raises:
        ValueError: the width is none of theirs.
    """
    by_width = {size.width: size.num_heads for size in encoder_sizes.values()}
    by_decoder = {512: 16}  # He et al. 2022, section 4.1
    encoder, decoder = architecture.encoder, architecture.decoder
    for size, table in ((encoder, by_width), (decoder, by_decoder)):
        if size is not None and not size.num_heads and size.width not in table:
            raise ValueError(
                f"the file does not say its heads, and width {size.width} is of no published "
                f"model ({', '.join(map(str, table))}): give a folder with a config.json that "
                "says them"
            )
    filled = encoder._replace(num_heads=encoder.num_heads or by_width.get(encoder.width, 0))
    if decoder is not None:
        heads = decoder.num_heads or by_decoder.get(decoder.width, 0)
        decoder = decoder._replace(num_heads=heads)
    return dataclasses.replace(architecture, encoder=filled, decoder=decoder)


def _check_whole(kept: Mapping[str, np.ndarray], architecture: Architecture) -> None:
    """Refuse parameters that are not those of the architecture, on both sides."""
    shapes = shapes_of(architecture)
    sides = {path.partition("/")[0] for path in kept} - {"head"}
    wanted = {path: shape for path, shape in shapes.items() if path.partition("/")[0] in sides}
    found = {path: leaf.shape for path, leaf in kept.items() if not path.startswith("head/")}
    if wrong := sorted(path for path in wanted | found if wanted.get(path) != found.get(path)):
        raise ValueError(
            f"this is no vision transformer as exports hold it: {_parts(wrong)} are missing, "
            "unknown or of another shape"
        )


def _add_tables(kept: dict[str, np.ndarray], architecture: Architecture, has_decoder: bool) -> None:
    """Compute the tables of positions that are no parameters."""
    widths = {"encoder": architecture.encoder.width}
    if has_decoder and architecture.decoder is not None:
        widths["decoder"] = architecture.decoder.width
    for side, width in widths.items():
        name = f"{side}/positions/table"
        if name not in kept:
            kept[name] = sincos_positions(architecture.grid, width)[None]


def _hf(
    folder: Path,
    kept: Mapping[str, np.ndarray],
    architecture: Architecture,
    about: About,
    has_head: bool,
    has_decoder: bool,
) -> tuple[dialect.Dialect, dict[str, Any], str]:
    if not architecture.has_norm:
        raise ValueError(
            "transformers' ViT reads the class token behind a LayerNorm, and this model the mean "
            "of its patches (model.pool 'mean'): use --format=timm"
        )
    if has_decoder:
        kind = "ViTMAEForPreTraining"
        if len(set(architecture.grid)) > 1 or len(set(architecture.patch_size)) > 1:
            raise ValueError(
                f"transformers' ViTMAE is for square images, and this model for "
                f"{architecture.image} pixels: give --part=encoder for a ViTModel"
            )
    else:
        kind = "ViTForImageClassification" if has_head else "ViTModel"
    config = hf.config_of(architecture, kind)
    if has_decoder:
        of_pretraining = {"mask_ratio": about.mask_ratio, "norm_pix_loss": about.norm_pix}
        config |= {key: value for key, value in of_pretraining.items() if value is not None}
    if has_head:
        names = about.class_names or [f"LABEL_{i}" for i in range(kept["head/kernel"].shape[1])]
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
    if about.mean:
        height, width = architecture.image
        content = {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": height, "width": width},
            "resample": _BICUBIC,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(about.mean),
            "image_std": list(about.std),
        }
        (folder / _PREPROCESSING).write_text(json.dumps(content, indent=2) + "\n")
    options = ", add_pooling_layer=False" if kind == "ViTModel" else ""
    load = f"transformers.{kind}.from_pretrained(FOLDER{options})"
    return hf.WHOLE if has_head or has_decoder else hf.ENCODER, config, load


def _timm(
    folder: Path,
    kept: Mapping[str, np.ndarray],
    architecture: Architecture,
    about: About,
    has_head: bool,
) -> tuple[dialect.Dialect, dict[str, Any], str]:
    del folder
    if architecture.norm_eps != REFERENCE_EPS:
        raise ValueError(
            f"timm's LayerNorms have an epsilon of {REFERENCE_EPS}, and this model's "
            f"{architecture.norm_eps}: use --format=hf"
        )
    if not (architecture.has_norm or has_head):
        raise ValueError("the norm of this model is a part of its head: leave out --part=encoder")
    num_classes = kept["head/kernel"].shape[1] if has_head else 0
    config = timm.config_of(architecture, num_classes, mean=tuple(about.mean), std=tuple(about.std))
    if about.class_names and has_head:
        config["label_names"] = list(about.class_names)
    return timm.WHOLE, config, 'timm.create_model("local-dir:FOLDER", pretrained=True)'


def _parts(paths: Sequence[str]) -> str:
    """Name paths by their first words, which may stand for many."""
    names = dict.fromkeys("/".join(path.split("/")[:2]) for path in paths)
    return ", ".join(names)
