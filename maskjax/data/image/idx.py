"""The idx file format of MNIST (http://yann.lecun.com/exdb/mnist/), gzipped or not."""

import gzip
import pathlib
import struct
import zlib

import numpy as np

from maskjax.typing import Num

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def find(folder: pathlib.Path, prefixes: tuple[str, ...], kind: str) -> pathlib.Path | None:
    """Find a split's file, e.g. train-images-idx3-ubyte.gz or emnist-train-images.idx3-ubyte.

    Args:
        folder: where to look, not below it.
        prefixes: names of the split; one of them stands in front of `kind`.
        kind: "images" or "labels".

    Returns:
        The file, the unpacked one where it lies beside a gzipped one; None if there is none.

    Raises:
        ValueError: where several files fit.
    """
    marks = [f"{prefix}-{kind}" for prefix in prefixes]
    found = {
        path.name.removesuffix(".gz"): path
        for path in sorted(folder.iterdir(), reverse=True)  # x.gz before x, so that x stays
        if path.is_file() and not path.name.startswith(".")
        if "idx" in path.name and any(mark in path.name for mark in marks)
    }
    if len(found) > 1:
        raise ValueError(
            f"{folder} holds several files of one kind ({', '.join(sorted(found))});"
            " keep one data set a folder"
        )
    return next(iter(found.values()), None)


def read(path: pathlib.Path) -> Num[np.ndarray, "*shape"]:
    """Read one idx file.

    Args:
        path: the file; gzip is recognised by its first bytes.

    Returns:
        The array in native byte order.

    Raises:
        ValueError: where the file is not idx, or is shorter or longer than its header says.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile, struct.error) as error:
            raise ValueError(f"{path} is truncated or damaged ({error}); fetch it again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES:
        raise ValueError(
            f"{path} is not an idx file (it begins with {content[:4].hex(' ') or 'nothing'});"
            " give files in MNIST's format"
        )
    dtype, rank = np.dtype(_DTYPES[content[2]]), content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f"{path} is truncated within its header; fetch it again")
    shape = struct.unpack(f">{rank}I", content[4:start])
    expected = start + dtype.itemsize * int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise ValueError(
            f"{path} is {'truncated' if len(content) < expected else 'too long'}: its header says"
            f" {'x'.join(map(str, shape))} numbers, {expected} bytes, but it holds {len(content)};"
            " fetch it again"
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
