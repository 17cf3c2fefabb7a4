"""From a file or a folder to arrays by name, a config.json and a hash."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from maskjax.interop.torch_zip import read_torch

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# What a folder may hold, the best first: one file, or an index of several.
_USUAL = (
    WEIGHTS,
    f"{WEIGHTS}.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")


class Content(NamedTuple):
    """What a file or folder holds.

    Attributes:
        path: the file of weights, or the index of several.
        arrays: by name.
        config: of the config.json beside it, None without one.
        entry: the entry of a checkpoint that the weights were in, "" for none.
        sha256: of the bytes of the weights' files, one after the other.
        metadata: what a .safetensors file says of itself.
    """

    path: Path
    arrays: dict[str, np.ndarray]
    config: dict[str, Any] | None
    entry: str
    sha256: str
    metadata: Mapping[str, str]


def open_weights(path: Path) -> Content:
    """Read a file of weights, or the one that a folder holds.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be read, or is of a format that is not known.
    """
    file = _file_of(path)
    has_config = path.is_dir() or file.name in _USUAL  # a lone download has no config of its own
    files = _parts(file)
    arrays: dict[str, np.ndarray] = {}
    entry, metadata = "", {}
    for part in files:
        found, entry, metadata = _read(part)
        if twice := sorted(found.keys() & arrays.keys()):
            raise ValueError(f"{part} holds {twice[0]!r}, as another file of {file} does")
        arrays |= found
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{file}: {name} holds numbers that are not finite; fetch it again")
    config = _config(file.parent / CONFIG) if has_config else None
    return Content(file, arrays, config, entry, _sha256(files), metadata)


def has_weights(path: Path) -> bool:
    """Whether there is a file, or a folder with a file of weights."""
    return path.is_file() or (
        path.is_dir() and any(it.suffix in _SUFFIXES or it.name in _USUAL for it in path.iterdir())
    )


def _file_of(path: Path) -> Path:
    if path.is_dir():
        usual = [path / name for name in _USUAL if (path / name).is_file()]
        others = sorted(it for it in path.iterdir() if it.suffix in _SUFFIXES and it.is_file())
        if usual:
            return usual[0]
        if len(others) == 1:
            return others[0]
        found = (
            f"several, {', '.join(it.name for it in others[:4])}: name one" if others else "none"
        )
        raise FileNotFoundError(
            f"{path} holds no {' or '.join(_USUAL)}, and of other files of weights {found}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there are no weights {path}: give a file, or a folder with one")
    return path


def _parts(file: Path) -> list[Path]:
    """The files that hold the tensors; an index lists them."""
    if file.suffix != ".json":
        return [file]
    index = _config(file) or {}
    names = index.get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{file} has no weight_map, and is no index of files of weights")
    parts = [file.parent / Path(name).name for name in sorted(set(names.values()))]
    for part in parts:
        if not part.is_file():
            raise FileNotFoundError(f"{file} lists {part.name}, which is not there: fetch it too")
    return parts


def _read(file: Path) -> tuple[dict[str, np.ndarray], str, dict[str, str]]:
    if file.suffix not in _SUFFIXES:
        raise ValueError(f"{file} is of an unknown format: give one of {', '.join(_SUFFIXES)}")
    if file.suffix != ".safetensors":
        return *read_torch(file), {}
    try:
        with safe_open(file, "numpy") as tensors:
            found = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
            return found, "", tensors.metadata() or {}
    except (SafetensorError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error}): fetch or copy it again") from None


def _config(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): fetch it again") from None
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds a {type(found).__name__}: a JSON object belongs there")
    return dict(found)


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()
