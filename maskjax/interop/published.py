"""Published weights as parameters of maskjax, whatever format they are in; sparse files too."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from maskjax.interop import dialect, hf, hf_text, layout, mae, resnet, sparse, timm
from maskjax.interop.facts import Facts
from maskjax.interop.files import Content, open_weights
from maskjax.interop.text import read_text
from maskjax.models.architecture import Architecture, shapes_of
from maskjax.models.resnet_sizes import ResNetArchitecture
from maskjax.models.sizes import Size
from maskjax.models.text import TextArchitecture
from maskjax.spelling import listed

FORMATS: dict[str, ModuleType] = {
    "mae": mae,
    "hf": hf,
    "timm": timm,
    "torchvision": resnet,
    sparse.FORMAT: sparse,
}


class Published(NamedTuple):
    """Weights of another project, or a sparse file.

    Attributes:
        path: the file.
        format: a name of `FORMATS`.
        params: {path: array} as in maskjax, float32. A tensor without a place in maskjax has its
            own name, with slashes.
        architecture: what they are of; None for what has no name here, of sparse files alone.
        sha256: of the file.
        antialias: how the format's project resamples positions.
    """

    path: Path
    format: str
    params: dict[str, np.ndarray]
    architecture: Architecture | ResNetArchitecture | TextArchitecture | None
    sha256: str
    antialias: bool


def read(path: Path, format: str = "auto") -> Published:
    """Read a file of weights, or a folder that holds one.

    Args:
        path: .safetensors, or .bin, .pth, .pt by torch.save; or a folder with such a file.
        format: a name of `FORMATS`; "auto" recognises it by the names of the tensors.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, is of another format, is of a model that maskjax's encoder
            is not, or lacks tensors.
    """
    content = open_weights(path)
    place = str(content.path)
    arrays = _without_prefix(content.arrays)
    found = _recognised(content, arrays)
    if format not in ("auto", found):
        raise ValueError(
            f"{place} has the names of {found!r}, and init_from.format is {format!r}: set it to "
            f"{found!r} or 'auto'"
        )
    if found == sparse.FORMAT:
        params, architecture = sparse.dense(content)
    elif hf_text.is_text(arrays):
        params, architecture = read_text(arrays, content.config, place)
    elif resnet.is_resnet(arrays):
        params, architecture = resnet.read_resnet(arrays, content.config, place)
    else:
        params, architecture = _read_vit(FORMATS[found], arrays, content, place)
    return Published(
        path=content.path,
        format=found,
        params=params,
        architecture=architecture,
        sha256=content.sha256,
        antialias=FORMATS[found].ANTIALIAS,
    )


def _read_vit(
    module: ModuleType, arrays: Mapping[str, np.ndarray], content: Content, place: str
) -> tuple[dict[str, np.ndarray], Architecture]:
    dialect.refuse_foreign(arrays, place)
    facts = module.facts(content.config, place)
    spoken = dialect.best(module.DIALECTS, arrays)
    _check_whole(spoken, arrays, place)
    leaves = dialect.to_paths(spoken, arrays)
    architecture = _described(leaves, facts, place)
    params = layout.from_torch(leaves)
    layout.check_shapes(params, shapes_of(architecture), place)
    return params, architecture


def _without_prefix(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take off what DistributedDataParallel puts before every name."""
    prefix = "module."
    if all(name.startswith(prefix) for name in arrays):
        return {name.removeprefix(prefix): array for name, array in arrays.items()}
    return dict(arrays)


def _recognised(content: Content, arrays: Mapping[str, np.ndarray]) -> str:
    if sparse.is_sparse(content):
        return sparse.FORMAT
    if any(name.endswith(hf.MARK) for name in arrays) or hf_text.is_text(arrays):
        return "hf"
    if resnet.is_resnet(arrays):
        return resnet.format_of(arrays, content.config)
    if timm.MARK in arrays:
        is_mae = content.entry == "model" or "decoder_embed.weight" in arrays
        return "mae" if is_mae else "timm"
    raise ValueError(
        f"{content.path} holds no vision transformer with names of mae, hf or timm, no text "
        "encoder of transformers, and no residual network of torchvision or timm: its tensors are "
        f"{listed(sorted(arrays))}"
    )


def _check_whole(spoken: dialect.Dialect, arrays: Mapping[str, np.ndarray], place: str) -> None:
    """Refuse a file that lacks tensors of a part of which it has some."""
    expected = spoken.tensors(spoken.depths(arrays))
    parts = {path.split("/")[0] for path, name in expected.items() if name in arrays}
    missing = [
        name
        for path, name in expected.items()
        if name not in arrays and path.split("/")[0] in parts and not _is_optional(path, parts)
    ]
    has_norm = any(expected.get(path) in arrays for path in _NORMS)
    if missing or not has_norm:
        missing += [] if has_norm else [expected[_NORMS[0]]]
        raise ValueError(f"{place} lacks {listed(missing)}: fetch the whole file")


_NORMS = ("encoder/transformer/norm/scale", "head/norm/scale")


def _is_optional(path: str, parts: set[str]) -> bool:
    """What a whole file may lack: a mask token of the encoder, and one of the two last norms."""
    return path == "encoder/mask_token" or path.rpartition("/")[0] in (
        "encoder/transformer/norm",
        "head/norm",
    )


def _described(leaves: Mapping[str, np.ndarray], facts: Facts, place: str) -> Architecture:
    """Find the architecture in the shapes, before they are laid out anew."""
    kernel = np.shape(leaves["encoder/patch_embed/kernel"])
    if len(kernel) != 4:
        raise ValueError(
            f"{place} has a patch projection of shape {list(kernel)}: 2-D images alone"
        )
    width, channels, *sides = kernel
    block = "encoder/transformer/block00"
    if f"{block}/mlp/fc1/kernel" not in leaves:
        raise ValueError(f"{place} has no blocks that are known")
    hidden = len(leaves[f"{block}/mlp/fc1/kernel"])
    depth = layout.depth_of(leaves, "encoder/transformer")
    grid = _grid(leaves["encoder/positions/table"], sides, facts, place)
    found = {"width": width, "depth": depth, "hidden": hidden, "channels": channels}
    small, small_hidden = None, 0
    if "decoder/embed/kernel" in leaves:
        small_depth = layout.depth_of(leaves, "decoder/transformer")
        small = Size(len(leaves["decoder/embed/kernel"]), small_depth, facts.decoder_heads)
        small_hidden = len(leaves["decoder/transformer/block00/mlp/fc1/kernel"])
        found |= {"decoder width": small.width, "decoder depth": small.depth}
    for what, (key, number) in facts.claims.items():
        if what in found and found[what] != number:
            raise ValueError(
                f"{place}: config.json says {key} {number}, and the tensors have {found[what]}: "
                "they do not belong together"
            )
    pool = facts.pool or ("mean" if "head/norm/scale" in leaves else "class")
    return Architecture(
        grid=grid,
        patch_size=tuple(sides),
        channels=channels,
        encoder=Size(width, depth, facts.heads),
        hidden=hidden,
        norm_eps=facts.norm_eps,
        pool=pool,
        decoder=small,
        decoder_hidden=small_hidden,
        has_norm="encoder/transformer/norm/scale" in leaves,
    )


def _grid(table: np.ndarray, sides: list[int], facts: Facts, place: str) -> tuple[int, ...]:
    """The grid of a table whose first row is the class token's."""
    rows = table.shape[1] - 1
    if facts.image:
        grid = tuple(size // side for size, side in zip(facts.image, sides, strict=True))
    else:
        grid = (math.isqrt(rows), math.isqrt(rows))
    if math.prod(grid) == rows:
        return grid
    if math.prod(grid) == rows + 1 or math.isqrt(rows + 1) ** 2 == rows + 1:
        raise ValueError(
            f"{place} has {rows + 1} positions and none for the class token (no_embed_class), "
            "which maskjax does not read"
        )
    said = f"its config.json says a grid of {grid}" if facts.image else "that is no square"
    raise ValueError(
        f"{place} has {rows} positions beside the class token's, and {said}: give a folder whose "
        "config.json says the size of the image"
    )
