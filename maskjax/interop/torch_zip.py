"""Tensors of a file that torch.save wrote, without PyTorch and without running what is in it.

A pickle can call whatever it names. Here it can name a tensor's rebuilding, an ordered dict and
what stands for options of a command line, all of them replaced by plain records of this module;
any other name ends the reading. Tensors are made afterwards, of those that are asked for, and only
within the bytes of their storage.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

_STORAGES = {
    "FloatStorage": np.dtype("f4"),
    "HalfStorage": np.dtype("f2"),
    "DoubleStorage": np.dtype("f8"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("i8"),
    "IntStorage": np.dtype("i4"),
    "ShortStorage": np.dtype("i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_RESAVE = (
    "save its weights alone, with PyTorch: checkpoint = torch.load(OLD, map_location='cpu', "
    "weights_only=True); torch.save({'model': checkpoint['model']}, NEW)"
)
_WRAPPERS = ("model", "state_dict")


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Ignored:
    """Stands for an object whose content is of no use here."""

    def __setstate__(self, state: Any) -> None:
        """Forget it."""


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *others: Any) -> _Tensor:
    del others
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(data: Any, *others: Any) -> Any:
    del others
    return data


_ADMITTED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("argparse", "Namespace"): _Ignored,  # options of the run, in checkpoints of MAE
    ("torch", "Size"): tuple,
} | {("torch", name): dtype for name, dtype in _STORAGES.items()}


class _Refused(ValueError):
    """A file that is whole, and not what is read here."""


class _Forbidden(pickle.UnpicklingError):
    """A name that a file of weights needs not."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Find one of the few things that may be named."""
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _Forbidden(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Note where the numbers of a tensor are."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return _Storage(dtype, str(key), int(count))


def read_torch(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Read the tensors of a file by torch.save, or of one entry "model" or "state_dict" of it.

    Args:
        path: the file, .pth, .pt or .bin.

    Returns:
        Arrays by name, and the entry that they were in, "" where in none.

    Raises:
        ValueError: the file is of another or an older format, damaged, or names what has no place
            in a file of weights.
    """
    with path.open("rb") as file:
        start = file.read(2)
    if start != b"PK":
        raise ValueError(
            f"{path} is not a zip file, as torch.save has written since PyTorch 1.6: if it is an "
            f"older one (a tar file or a plain pickle), {_RESAVE}"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _tensors(path, archive)
    except _Forbidden as error:
        raise ValueError(
            f"{path} names {error}, which is no part of weights, so that reading it could run what "
            f"somebody put there: {_RESAVE}"
        ) from None
    except _Refused:
        raise
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        NotImplementedError,
    ) as error:
        kind = type(error).__name__
        raise ValueError(f"{path} is damaged ({kind}: {error}): fetch or copy it again") from None


def _tensors(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, np.ndarray], str]:
    names = archive.namelist()
    roots = [name[: -len("data.pkl")] for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1 or any(info.compress_type for info in archive.infolist()):
        raise _Refused(
            f"{path} is a zip file, and none that torch.save wrote: give .safetensors, .pth or .bin"
        )
    if any(name.startswith(f"{roots[0]}code/") for name in names):
        raise _Refused(f"{path} is a TorchScript program: save its state_dict() instead")
    with archive.open(f"{roots[0]}data.pkl") as file:
        content = _Reader(file, encoding="utf-8").load()
    entry, found = _chosen(path, content)
    order = "<"
    if f"{roots[0]}byteorder" in names:
        order = ">" if archive.read(f"{roots[0]}byteorder").strip() == b"big" else "<"
    raw: dict[str, bytes] = {}
    arrays = {}
    for name, tensor in found.items():
        key = tensor.storage.key
        if key not in raw:
            raw = {key: archive.read(f"{roots[0]}data/{key}")}  # mostly one tensor a storage
        arrays[str(name)] = _array(path, str(name), tensor, raw[key], order)
    return arrays, entry


def _chosen(path: Path, content: Any) -> tuple[str, dict[Any, _Tensor]]:
    """The mapping of a checkpoint that holds its weights."""
    if isinstance(content, dict):
        for entry in ("", *_WRAPPERS):
            part = content.get(entry) if entry else content
            if not isinstance(part, dict) or not part:
                continue
            tensors = {name: x for name, x in part.items() if isinstance(x, _Tensor)}
            if len(tensors) == len(part) or (entry and tensors):
                return entry, tensors
    held = list(map(str, content))[:8] if isinstance(content, dict) else type(content).__name__
    raise _Refused(
        f"{path} holds {held}, and neither tensors by name nor such an entry "
        f"{' or '.join(map(repr, _WRAPPERS))}: save model.state_dict()"
    )


def _array(path: Path, name: str, tensor: _Tensor, raw: bytes, order: str) -> np.ndarray:
    """Make one tensor of the bytes of its storage."""
    storage, offset, shape, strides = tensor
    dtype = storage.dtype if order == "<" else storage.dtype.newbyteorder(">")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    is_empty = 0 in shape
    needed = max(last + 1, math.prod(shape))  # steps of 0 could make any size of one number
    is_within = is_empty or needed * dtype.itemsize <= len(raw)
    if min(offset, *shape, *strides, 0) < 0 or not is_within:
        raise _Refused(f"{path} is damaged: {name} reaches beyond its bytes; fetch it again")
    if is_empty:
        return np.zeros(shape, storage.dtype)
    flat = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)[offset:]
    steps = [step * dtype.itemsize for step in strides]
    return np.array(np.lib.stride_tricks.as_strided(flat, shape, steps), storage.dtype)
