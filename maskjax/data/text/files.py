"""Lines of text files, gzipped or not, and what is wrong with them by file and line."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maskjax.data.sources import digest

# The longest line, and the longest document, in bytes; a book of a thousand pages has 3 million.
MAX_BYTES = 2**24
_ENDINGS = (".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".gz")  # of no text
_MAGIC = b"\x1f\x8b"
_BLOCKS, _BLOCK = 2**10, 2**16  # of a file larger than all of them so many bytes are hashed


class Text(NamedTuple):
    """What a corpus gives.

    Attributes:
        text: one document.
        place: its file, of those of the corpus, and its first line, from 1.
        second: the second text of a pair.
        label: its class.
        tags: (begin, end, tag) of each tagged word, in characters of `text`.
        kinds: (begin, end, kind) of each word of which it is said, such as its part of speech.
    """

    text: str
    place: tuple[int, int] = (0, 1)
    second: str | None = None
    label: str | None = None
    tags: tuple[tuple[int, int, str], ...] | None = None
    kinds: tuple[tuple[int, int, str], ...] | None = None


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read a file line by line, whatever its size.

    Args:
        path: UTF-8, also gzipped.

    Yields:
        The number of each line from 1, and the line with its end.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, no UTF-8, broken, or has a line longer than `MAX_BYTES`; the
            message names file and line, or byte.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    number, at = 0, 0
    try:
        with _opened(path) as file:
            while line := file.readline(MAX_BYTES + 1):
                number += 1
                if len(line) > MAX_BYTES:
                    raise ValueError(
                        f"line {number} of {path} is longer than {MAX_BYTES} bytes: break it, for"
                        f" example with `fold -s -w 100000`"
                    )
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                    at = file.tell() - len(line)
                yield number, _decoded(line, number, at, path)
                at += len(line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is gzipped and broken behind line {number} ({error}): make or load it anew"
        ) from None
    if not number:
        raise ValueError(f"{path} is empty: leave it out, or fill it")


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        is_gzipped = file.read(2) == _MAGIC
    return gzip.open(path, "rb") if is_gzipped else path.open("rb")


def _decoded(line: bytes, number: int, at: int, path: Path) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no UTF-8: line {number} has {line[error.start]:#04x} at byte"
            f" {at + error.start}; convert it, `iconv -f latin1 -t utf-8`, if it is Latin-1"
        ) from None


def refuse_halves(text: str, where: str) -> None:
    """Refuse half of a character, as JSON writes it and no file of UTF-8 does.

    Raises:
        ValueError: the message says which, and where.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where} has {text[error.start]!r} at character {error.start + 1}, which is no"
            " character, or half of one: mend or remove it"
        ) from None


def refuse_path(text: str) -> None:
    """Refuse what is no text but the path of a folder, or of a file that is not there.

    Raises:
        ValueError: a folder.
        FileNotFoundError: no file.
    """
    if os.sep in text and os.path.isdir(text):
        raise ValueError(f"{text} is a folder: give its files, with a text a line")
    if not re.search(r"\s", text) and text.lower().endswith(_ENDINGS):
        raise FileNotFoundError(f"{text}: there is no such file")


def prints(path: Path) -> tuple[int, str]:
    """Return size and hash of a file by which another is noticed; of large ones of some blocks."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _BLOCKS * _BLOCK:
            return size, digest(file.read())
        blocks = []
        for number in range(_BLOCKS):
            file.seek(size * number // _BLOCKS)
            blocks.append(file.read(_BLOCK))
    return size, digest(*blocks)
