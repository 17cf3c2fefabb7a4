"""What parameter masks of a run leave in its folder: sparsities as numbers, and a bit a weight."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.parameters import leaf_paths, sparsity
from maskjax.paths import atomic_file, local_path
from maskjax.typing import Array, PyTree
from maskjax.workdir.folder import CONFIG

MASKS, ARTEFACT = "param_masks.npz", "artefact.npz"
CHANGES = "mask_changes"
_SHAPE, _PATHS = ":shape", ":paths"
_LEAF, _CHANGED = "sparsity/", f"{CHANGES}/"
_DAMAGED = (zipfile.BadZipFile, zlib.error)


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


class Changes:
    """What share of masks changed since the line before; keeps a bit a weight on the device."""

    def __init__(self, masks: PyTree):
        """Begin with the masks of a run's first state, or of that which it goes on from."""
        self._bits = _bits(masks)

    def since(self, masks: PyTree) -> dict[str, float]:
        """Measure, and remember these masks.

        Args:
            masks: of the same leaves as those before.

        Returns:
            "mask_changes", the share of all that may be hidden, and "mask_changes/PATH" of a leaf.
        """
        before, self._bits = self._bits, _bits(masks)
        flips = [int(x) for x in jax.device_get(_flips(before, self._bits))]
        sizes = [leaf.size for leaf in jax.tree.leaves(masks)]
        whole = {CHANGES: sum(flips) / sum(sizes)}
        return whole | {
            _CHANGED + path: flip / size
            for path, flip, size in zip(leaf_paths(masks), flips, sizes, strict=True)
        }


@jax.jit
def _bits(masks: PyTree) -> list[Array]:
    return [jnp.packbits(mask.reshape(-1) > 0) for mask in jax.tree.leaves(masks)]


@jax.jit
def _flips(before: list[Array], now: list[Array]) -> list[Array]:
    count = lambda a, b: jax.lax.population_count(a ^ b).sum(dtype=jnp.uint32)  # noqa: E731
    return [count(*pair) for pair in zip(before, now, strict=True)]


def changes_by_leaf(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    """Take what share of each leaf changed up to each step from the lines of metrics.jsonl."""
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, x in line.items():
            if name.startswith(_CHANGED):
                found.setdefault(name.removeprefix(_CHANGED), {})[line["step"]] = x
    return found


def without_layers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is said of each leaf."""
    return {name: x for name, x in numbers.items() if not name.startswith((_LEAF, _CHANGED))}


def by_layer(numbers: Mapping[str, float]) -> dict[str, Any]:
    """Put the sparsity of each leaf into a table of its own, "sparsity_by_layer"."""
    layers = {name.removeprefix(_LEAF): x for name, x in numbers.items() if name.startswith(_LEAF)}
    return without_layers(numbers) | {"sparsity_by_layer": layers}


def write_masks(folder: Path, masks: PyTree) -> None:
    """Write masks into a run's folder, and the paths of all leaves.

    Args:
        folder: the workdir.
        masks: True or above 0 for what is kept; None for leaves that are never hidden.
    """
    whole = jax.tree.map(lambda mask: mask is not None, masks, is_leaf=lambda x: x is None)
    arrays: dict[str, Any] = {_PATHS: np.array(leaf_paths(whole))}
    for path, mask in zip(leaf_paths(masks), jax.tree.leaves(jax.device_get(masks))):
        arrays[path], arrays[path + _SHAPE] = np.packbits(np.asarray(mask) > 0), mask.shape
    write_arrays(folder / MASKS, arrays)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> int:
    """Write arrays by name into one compressed file; returns its size in bytes."""
    with atomic_file(path, "wb") as file:
        np.savez_compressed(file, **arrays)
    return path.stat().st_size


def read_masks(place: str, key: str = "param_masks.file") -> dict[str, np.ndarray]:
    """Read masks by path, True for what is kept; arguments and errors are those of `read_all`."""
    return {path: mask for path, mask in read_all(place, key).items() if mask is not None}


def read_all(place: str, key: str = "param_masks.file") -> dict[str, np.ndarray | None]:
    """Read masks by path: True for what is kept; None for leaves that are never hidden.

    Files from before these were named lack them.

    Args:
        place: the file, or the folder of a run that has one; "" for none.
        key: what names it, for errors.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of masks.
    """
    if not place:
        return {}
    path = local_path(place, key)
    path = path / MASKS if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"{key} {str(path)!r} is not there: give the folder of a finished run with "
            f"param_masks, or its {MASKS}"
        )
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file}
        others = dict.fromkeys(arrays.pop(_PATHS, np.array([], str)).tolist())
        shapes = {name: arrays[name + _SHAPE] for name in arrays if not name.endswith(_SHAPE)}
        return others | {name: _unpacked(arrays[name], shape) for name, shape in shapes.items()}
    except (*_DAMAGED, ValueError, KeyError, OSError, EOFError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{key} {str(path)!r} cannot be read ({error}): give the {MASKS} of a run"
        ) from None


def own_masks(config: Any, folder: Path) -> Any:
    """The config of a run, with the masks that lie in its folder in place of another run's.

    Args:
        config: `param_masks.file` is the other's, which may be gone, or changed, since.
        folder: the workdir.
    """
    is_begun = all((folder / name).is_file() for name in (CONFIG, MASKS))
    if not config.param_masks.file or not is_begun:
        return config
    config = config.copy_and_resolve_references()
    config.param_masks.file = str(folder)
    return config


def _unpacked(bits: np.ndarray, shape: np.ndarray) -> np.ndarray:
    if bits.size != -(-shape.prod() // 8):
        raise ValueError(f"{bits.size} bytes are no mask of shape {shape.tolist()}")
    return np.unpackbits(bits, count=int(shape.prod())).astype(bool).reshape(shape)
