"""How PyTorch's modules and maskjax's lay out the same numbers; both ways, by paths of maskjax.

Linear (out, in) is transposed; the convolution of patches (D, C, h, w) is a matrix of a patch's
numbers, row, column, then channel; a fused product of query, key and value stands in three, one of
a layer and its gate in two. The class token's own position is added to the class token, which is
the only place where it is used. In a decoder, whose class token is computed, it goes into what it
is computed by: it is added to embed's bias and to the mask token, and taken from the other
positions. Outputs stay what they are.
"""

import re
from collections.abc import Container, Mapping, Sequence

import numpy as np

from maskjax.spelling import listed

_TABLE = "positions/table"
_FUSED = {
    "attn/qkv": ("attn/query", "attn/key", "attn/value"),
    "mlp/fc1_gate": ("mlp/fc1", "mlp/gate"),
}


def from_torch(leaves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Lay out tensors, by path, as maskjax does.

    Args:
        leaves: of a format's names; "attn/qkv" and "mlp/fc1_gate" for fused products.

    Returns:
        float32 arrays. What is no leaf of maskjax's keeps its shape.
    """
    found: dict[str, np.ndarray] = {}
    for path, leaf in leaves.items():
        array = np.asarray(leaf, np.float32)
        fused = next((name for name in _FUSED if f"/{name}/" in path), "")
        if fused:
            names = _FUSED[fused]
            if len(array) % len(names):
                raise ValueError(
                    f"{path} has {len(array)} rows, which {len(names)} equal parts do not make"
                )
            for name, part in zip(names, np.split(array, len(names)), strict=True):
                found[path.replace(fused, name)] = part.T
        elif path.endswith("/kernel") and array.ndim == 4:
            found[path] = array.transpose(2, 3, 1, 0).reshape(-1, len(array))
        elif path.endswith("/kernel") and array.ndim == 2:
            found[path] = array.T
        elif path.endswith("mask_token"):
            found[path] = array.reshape(-1)
        else:
            found[path] = array
    for side in ("encoder", "decoder"):
        if f"{side}/{_TABLE}" in found:
            _move_class_position(found, side)
    return found


def _move_class_position(found: dict[str, np.ndarray], side: str) -> None:
    table = found[f"{side}/{_TABLE}"]
    own, rest = table[:, :1], table[:, 1:]
    if side == "encoder":
        found["encoder/class_token"] = found["encoder/class_token"] + own
    elif np.any(own):
        rest = rest - own
        for name in ("decoder/embed/bias", "decoder/mask_token"):
            found[name] = found[name] + own.reshape(-1)
    found[f"{side}/{_TABLE}"] = rest


def to_torch(
    params: Mapping[str, np.ndarray], patch_size: Sequence[int], *, modules: Container[str]
) -> dict[str, np.ndarray]:
    """Lay out parameters, by path, as PyTorch's modules do; the inverse of `from_torch`.

    Args:
        params: maskjax's, with both tables of positions.
        patch_size: height and width of a patch.
        modules: of a block there; "attn/qkv" and "mlp/fc1_gate" where these are one product.

    Returns:
        float32 arrays; the class token's own position is zero.
    """
    found: dict[str, np.ndarray] = {}
    for path, leaf in params.items():
        array = np.asarray(leaf, np.float32)
        if path == "encoder/patch_embed/kernel":
            array = array.reshape(*patch_size, -1, array.shape[-1]).transpose(3, 2, 0, 1)
        elif path.endswith("/kernel"):
            array = array.T
        elif path.endswith("mask_token"):
            array = array.reshape(1, 1, -1)
        elif path.endswith(_TABLE):
            array = np.pad(array, ((0, 0), (1, 0), (0, 0)))
        found[path] = array
    for fused, (first, *others) in _FUSED.items():
        if fused not in modules:
            continue
        for path in [path for path in found if f"/{first}/" in path]:
            parts = [found.pop(path.replace(first, name)) for name in (first, *others)]
            found[path.replace(first, fused)] = np.concatenate(parts)
    return {path: np.ascontiguousarray(array) for path, array in found.items()}


def depth_of(leaves: Mapping[str, np.ndarray], stack: str) -> int:
    """Count the blocks of a stack."""
    return len({found[1] for path in leaves if (found := re.match(rf"{stack}/block(\d+)/", path))})


def check_shapes(
    params: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], place: str
) -> None:
    """Refuse, in a ValueError, tensors that do not fit the others of the same file.

    Args:
        params: {path: array}; a path without a shape is not looked at.
        shapes: {path: shape} of the model that the file says it is.
        place: the file, for the message.
    """
    wrong = [
        f"{path} {list(np.shape(params[path]))} where {list(shape)} belongs"
        for path, shape in shapes.items()
        if path in params and np.shape(params[path]) != shape
    ]
    if wrong:
        raise ValueError(f"{place} does not fit itself: {listed(wrong)}; fetch it again")
