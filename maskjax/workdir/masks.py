"""What parameter masks of a run leave in its folder: sparsities as numbers, and a bit a weight."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from maskjax.masking.parameters import leaf_paths, sparsity
from maskjax.paths import atomic_file, local_path
from maskjax.typing import PyTree

MASKS, ARTEFACT = "param_masks.npz", "artefact.npz"
_SHAPE, _LEAF = ":shape", "sparsity/"


def sparsities(masks: PyTree) -> dict[str, float]:
    """Measure what is hidden.

    Args:
        masks: True or above 0 for what is kept; None for leaves that are never hidden.

    Returns:
        "sparsity", the hidden share of all that may be hidden, and "sparsity/PATH" of each leaf.
    """
    found = {path: float(x) for path, x in jax.device_get(_sparsity(masks)).items()}
    whole = {"sparsity": found.pop("total")}
    return whole | {_LEAF + path: x for path, x in found.items()}


@jax.jit
def _sparsity(masks: PyTree) -> PyTree:
    return sparsity(jax.tree.map(lambda mask: mask > 0, masks))


def without_layers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the sparsity of each leaf."""
    return {name: x for name, x in numbers.items() if not name.startswith(_LEAF)}


def by_layer(numbers: Mapping[str, float]) -> dict[str, Any]:
    """Put the sparsity of each leaf into a table of its own, "sparsity_by_layer"."""
    layers = {name.removeprefix(_LEAF): x for name, x in numbers.items() if name.startswith(_LEAF)}
    return without_layers(numbers) | {"sparsity_by_layer": layers}


def write_masks(folder: Path, masks: PyTree) -> None:
    """Write masks into a run's folder.

    Args:
        folder: the workdir.
        masks: True or above 0 for what is kept; None for leaves that are never hidden.
    """
    arrays = {}
    for path, mask in zip(leaf_paths(masks), jax.tree.leaves(jax.device_get(masks))):
        arrays[path], arrays[path + _SHAPE] = np.packbits(np.asarray(mask) > 0), mask.shape
    write_arrays(folder / MASKS, arrays)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> int:
    """Write arrays by name into one compressed file; returns its size in bytes."""
    with atomic_file(path, "wb") as file:
        np.savez_compressed(file, **arrays)
    return path.stat().st_size


def read_masks(place: str) -> dict[str, Any]:
    """Read masks by path: True for what is kept.

    Args:
        place: the file, or the folder of a run that has one; "" for none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of masks.
    """
    if not place:
        return {}
    path = local_path(place, "param_masks.file")
    path = path / MASKS if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"param_masks.file {str(path)!r} is not there: give the folder of a finished run with "
            f"param_masks, or its {MASKS}"
        )
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file}
        shapes = {name: arrays[name + _SHAPE] for name in arrays if not name.endswith(_SHAPE)}
        return {name: _unpacked(arrays[name], shape) for name, shape in shapes.items()}
    except (ValueError, KeyError, OSError, EOFError, AttributeError) as error:
        raise ValueError(
            f"param_masks.file {str(path)!r} cannot be read ({error}): give the {MASKS} of a run"
        ) from None


def _unpacked(bits: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, count=int(shape.prod())).astype(bool).reshape(shape)
