"""Parameters with many zeros in one file: the numbers that are kept, and a bit a weight.

    {path: array}, masks  ->  write()  ->  model.safetensors  ->  dense()  ->  {path: array}

A leaf that takes less so is two tensors: PATH:kept, its numbers in order, and PATH:mask, a bit a
weight, 8 a byte, the first one highest. Others are one, PATH. Dtypes stay what they are. The
metadata say the shapes, a checksum of the whole and, where it has one, the architecture.
"""

import dataclasses
import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from maskjax.interop.files import WEIGHTS, Content
from maskjax.models.architecture import Architecture
from maskjax.models.resnet_sizes import ResNetArchitecture
from maskjax.models.sizes import Size
from maskjax.models.text import TextArchitecture

FORMAT = "sparse"
ANTIALIAS = False  # positions are resampled as those of runs
_MARK, _VERSION = "maskjax_sparse", "1"
_KEPT, _MASK = ":kept", ":mask"
_KINDS = {kind.__name__: kind for kind in (Architecture, ResNetArchitecture, TextArchitecture)}
_SIZES = ("encoder", "decoder", "size")  # fields of these that are a Size

AnyArchitecture = Architecture | ResNetArchitecture | TextArchitecture


def write(
    folder: Path,
    params: Mapping[str, Any],
    masks: Mapping[str, Any],
    architecture: AnyArchitecture | None = None,
) -> tuple[int, int]:
    """Write parameters into a folder.

    Args:
        folder: it exists.
        params: {path: array}.
        masks: True or above 0 for what is kept, by path, where that is known. What is not zero is
            kept anyhow, bit for bit, and of a leaf without a mask nothing else.
        architecture: what they are of, None where it has no name here.

    Returns:
        Bytes of the numbers before, and of numbers and masks after.

    Raises:
        ValueError: no leaf becomes smaller.
    """
    tensors: dict[str, np.ndarray] = {}
    # In order of the last axis, as safetensors writes bytes.
    arrays = {path: np.asarray(leaf, order="C") for path, leaf in params.items()}
    for path, array in arrays.items():
        is_kept = _is_kept(array, masks.get(path))
        bits, kept = np.packbits(is_kept), array.reshape(-1)[is_kept]
        is_smaller = bits.nbytes + kept.nbytes < array.nbytes
        tensors |= {path + _KEPT: kept, path + _MASK: bits} if is_smaller else {path: array}
    if tensors.keys() == arrays.keys():
        raise ValueError(
            "--format=sparse makes none of these weights smaller, for too few are zeros: train with"
            " param_masks (maskjax/masking/parameters/README.md), or choose another format"
        )
    said = {"kind": type(architecture).__name__, **_fields(architecture)} if architecture else None
    metadata = {
        _MARK: _VERSION,
        "shapes": json.dumps({path: array.shape for path, array in arrays.items()}),
        "crc32": str(_checksum(arrays)),
        "architecture": json.dumps(said),
    }
    save_file(tensors, folder / WEIGHTS, metadata=metadata)
    (folder / WEIGHTS).chmod(0o644)  # safetensors closes it to other readers
    return sum(x.nbytes for x in arrays.values()), sum(x.nbytes for x in tensors.values())


def is_sparse(content: Content) -> bool:
    """Whether a file was written here."""
    return _MARK in content.metadata


def dense(content: Content) -> tuple[dict[str, np.ndarray], AnyArchitecture | None]:
    """Put zeros where they were.

    Args:
        content: of a file that `is_sparse`.

    Returns:
        {path: array}, bit for bit as they were written, and what they are of.

    Raises:
        ValueError: masks that do not fit, leaves that are missing or too many, or other numbers
            than were written; the line names the file and the leaf.
    """
    place, said = str(content.path), content.metadata
    if said[_MARK] != _VERSION:
        raise ValueError(
            f"{place} is of version {said[_MARK]} of the sparse format, and this maskjax reads "
            f"{_VERSION}: read it with a newer one"
        )
    try:
        shapes = {path: tuple(shape) for path, shape in json.loads(said["shapes"]).items()}
        written, architecture = int(said["crc32"]), _architecture(json.loads(said["architecture"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{place} does not say what it holds ({type(error).__name__}: {error}): copy it again"
        ) from None
    arrays = dict(content.arrays)
    params = {path: _leaf(arrays, path, shape, place) for path, shape in shapes.items()}
    if arrays:
        raise ValueError(f"{place} holds {min(arrays)}, of which it says no shape: copy it again")
    if _checksum(params) != written:
        raise ValueError(f"{place} holds other numbers than were written: copy it again")
    return params, architecture


def _is_kept(array: np.ndarray, mask: Any) -> np.ndarray:
    """Flags of what must be written of a leaf, in one row; zeros of other bits, as -0, too."""
    bits = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    flags = np.any(bits.reshape(array.size, array.itemsize), axis=1, keepdims=True)[:, 0]
    return flags if mask is None else flags | (np.asarray(mask).reshape(-1) > 0)


def _leaf(
    arrays: dict[str, np.ndarray], path: str, shape: tuple[int, ...], place: str
) -> np.ndarray:
    """Take a leaf out of what a file holds."""
    array = arrays.pop(path, None)
    if array is not None:
        if array.shape != shape:
            raise ValueError(f"{place}: {path} is {array.shape}, not {shape}: copy it again")
        return array
    kept, bits = arrays.pop(path + _KEPT, None), arrays.pop(path + _MASK, None)
    if kept is None or bits is None:
        raise ValueError(f"{place} lacks {path}: copy it again")
    size = math.prod(shape)
    is_kept = np.unpackbits(bits.view(np.uint8), count=size).astype(bool)
    if bits.nbytes != -(-size // 8) or kept.shape != (is_kept.sum(),):
        raise ValueError(
            f"{place}: the mask of {path} keeps {is_kept.sum()} of {8 * bits.nbytes}, and there are"
            f" {kept.size} numbers for the shape {shape}: copy it again"
        )
    whole = np.zeros(size, kept.dtype)
    whole[is_kept] = kept
    return whole.reshape(shape)


def _checksum(params: Mapping[str, np.ndarray]) -> int:
    """CRC-32 over dtypes and bytes of all leaves, in order of path."""
    found = 0
    for path in sorted(params):
        array = np.ascontiguousarray(params[path])
        found = zlib.crc32(f"{path} {array.dtype}".encode(), found)
        found = zlib.crc32(array.reshape(-1).view(np.uint8).data, found)
    return found


def _fields(architecture: Any) -> dict[str, Any]:
    return {it.name: getattr(architecture, it.name) for it in dataclasses.fields(architecture)}


def _architecture(said: dict[str, Any] | None) -> AnyArchitecture | None:
    """What was written of an architecture, whose tuples JSON made lists."""
    if said is None:
        return None
    fields = {name: _tuples(value) for name, value in said.items() if name != "kind"}
    for name in {*_SIZES} & {*fields}:
        fields[name] = fields[name] and Size(*fields[name])
    return _KINDS[said["kind"]](**fields)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
