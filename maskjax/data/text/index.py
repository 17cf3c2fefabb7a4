"""The tokens of a corpus on disk: built once, read in place by any number of processes."""

import array
import contextlib
import dataclasses
import fcntl
import functools
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.data.labels import check_labels
from maskjax.data.progress import shown
from maskjax.data.sources import digest
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text
from maskjax.data.text.subwords import Tokenizer
from maskjax.paths import atomic_folder, local_path
from maskjax.typing import Bool, Int, Shaped

_VERSION = 1
_CHARACTERS = 2**20  # that are tokenised at a time
_NO_TAG = -1


@dataclasses.dataclass(frozen=True)
class Index:
    """Tokens of documents, in the order of the corpus; memory-mapped, and pickled by its path.

    Attributes:
        folder: where it is.
    """

    folder: Path

    @functools.cached_property
    def _said(self) -> dict[str, Any]:
        return json.loads((self.folder / "index.json").read_text(encoding="utf-8"))

    def _array(self, name: str) -> np.ndarray | None:
        path = self.folder / f"{name}.npy"
        return np.load(path, mmap_mode="r").view(np.ndarray) if path.exists() else None

    def __reduce__(self):
        return type(self), (self.folder,)

    @property
    def key(self) -> str:
        """A hash of corpus and tokenizer."""
        return self.folder.name

    @functools.cached_property
    def tokens(self) -> Shaped[np.ndarray, "N"]:
        """Ids of all documents, one after the other; uint16 or uint32."""
        return _mapped(self.folder / "tokens.bin", np.dtype(self._said["dtype"]))

    @functools.cached_property
    def is_start(self) -> Bool[np.ndarray, "N"]:
        """True where a token begins a word."""
        return _mapped(self.folder / "starts.bin", np.dtype(bool))

    @functools.cached_property
    def tags(self) -> Int[np.ndarray, "N"] | None:
        """Numbers of the tags of words, at the first token of each, else -1; None without tags."""
        path = self.folder / "tags.bin"
        return _mapped(path, np.dtype(np.int16)) if path.exists() else None

    @functools.cached_property
    def offsets(self) -> Int[np.ndarray, "D_and_1"]:
        """Where each document begins, and at the end how many tokens there are."""
        found = self._array("offsets")
        assert found is not None
        return found

    @functools.cached_property
    def seconds(self) -> Int[np.ndarray, "D"] | None:
        """Tokens of the first text of each pair; None without pairs."""
        return self._array("seconds")

    @functools.cached_property
    def labels(self) -> Int[np.ndarray, "D"] | None:
        """Class of each document, None without classes."""
        return self._array("labels")

    @functools.cached_property
    def places(self) -> Int[np.ndarray, "D 2"]:
        """File and line of each document."""
        found = self._array("places")
        assert found is not None
        return found

    def place(self, number: int) -> str:
        """Say where a document stands."""
        file, line = self.places[number].tolist()
        files = self._said["files"]
        return (
            f"line {line} of {files[file]}" if files else f"text {line} of {self._said['source']}"
        )

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes in the order of their numbers."""
        return tuple(self._said["class_names"]) if self._said["class_names"] else None

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the tags in the order of their numbers; () without tags."""
        return tuple(self._said["tag_names"])

    def __len__(self) -> int:
        return len(self.offsets) - 1


def _mapped(path: Path, dtype: np.dtype) -> np.ndarray:
    if not path.stat().st_size:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r").view(np.ndarray)


def folder_of(index: str) -> Path:
    """Where `data.index` says that indexes are kept; "" is in the user's cache."""
    if index:
        return local_path(index, "data.index")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maskjax" / "texts"


def open_index(corpus: Corpus, tokenizer: Tokenizer, folder: str = "") -> Index:
    """Open the index of a corpus, built where there is none yet.

    Several processes may ask for the same one: one builds it, the others wait. It is there as a
    whole or not at all; what a killed process left is no index.

    Args:
        corpus: what to read.
        tokenizer: what takes it apart.
        folder: `data.index`.

    Returns:
        The index.

    Raises:
        ValueError: the corpus cannot be read or has no text, or the folder cannot be written to.
    """
    key = digest(_VERSION, corpus.identity, json.dumps(tokenizer.describe(), sort_keys=True))
    with kept(folder_of(folder), key) as path:
        if not (path / "index.json").exists():
            with atomic_folder(path) as new:
                _build(new, corpus, tokenizer)
    return Index(path)


@contextlib.contextmanager
def kept(root: Path, name: str) -> Iterator[Path]:
    """Keep other processes from building the same thing; yields its path below `root`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / f".{name}.lock").open("w")
    except OSError as error:
        raise ValueError(
            f"tokens cannot be kept in {root} ({error.strerror}): set data.index to a folder that"
            " can be written to"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield root / name


def _build(folder: Path, corpus: Corpus, tokenizer: Tokenizer) -> None:
    """Write the index of a corpus that may be larger than memory."""
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    offsets, seconds, places = array.array("q", [0]), array.array("i"), array.array("q")
    labels: list[str] = []
    tags: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context((folder / f"{name}.bin").open("wb"))
            for name in ("tokens", "starts", "tags")
        }
        documents = shown(corpus.read(), "reading texts", "document")
        for texts in _by_size(documents):
            has_tags = texts[0].tags is not None
            firsts = tokenizer.encode([text.text for text in texts], has_offsets=has_tags)
            others = tokenizer.encode(
                [text.second or "" for text in texts if text.second is not None]
            )
            rest = iter(others)
            for text, first in zip(texts, firsts):
                ids, is_start = first.ids, first.is_start
                places.extend(text.place)
                if text.second is not None:
                    second = next(rest)
                    seconds.append(len(ids))
                    ids, is_start = (np.concatenate(pair) for pair in zip(first[:2], second[:2]))
                if text.label is not None:
                    labels.append(text.label)
                if text.tags is not None:
                    assert first.offsets is not None
                    numbers = [tags.setdefault(tag, len(tags)) for *_, tag in text.tags]
                    spans = np.array([span[:2] for span in text.tags], np.int64)
                    files["tags"].write(tags_of(first.offsets, spans, numbers).tobytes())
                files["tokens"].write(ids.astype(dtype).tobytes())
                files["starts"].write(is_start.astype(bool).tobytes())
                offsets.append(offsets[-1] + len(ids))
    if offsets[-1] == 0:
        raise ValueError(f"data source {corpus.name!r} has no text: fill it, or take another")
    _finish(folder, corpus, tags, labels, dtype)
    np.save(folder / "offsets.npy", np.frombuffer(offsets, np.int64))
    np.save(folder / "places.npy", np.frombuffer(places, np.int64).reshape(-1, 2))
    if seconds:
        np.save(folder / "seconds.npy", np.frombuffer(seconds, np.int32))


def _by_size(documents: Iterator[Text]) -> Iterator[list[Text]]:
    """Gather documents of some characters in all."""
    for _, texts in itertools.groupby(documents, _Bins()):
        yield list(texts)


class _Bins:
    """Numbers documents by how many characters came before them."""

    def __init__(self):
        self._size = 0

    def __call__(self, text: Text) -> int:
        self._size += len(text.text)
        return self._size // _CHARACTERS


def tags_of(
    offsets: Int[np.ndarray, "n 2"], spans: Int[np.ndarray, "w 2"], numbers: Sequence[int]
) -> Int[np.ndarray, "n"]:
    """Give the first token of each word its tag.

    Args:
        offsets: characters where each token begins and ends; its white space may be within.
        spans: where each word begins and ends, sorted.
        numbers: of the words' tags.

    Returns:
        int16, -1 at all other tokens; a word of which no token is left has none.
    """
    found = np.full(len(offsets), _NO_TAG, np.int16)
    at = np.searchsorted(offsets[:, 1], spans[:, 0], side="right")  # the first that ends behind
    is_there = at < len(offsets)
    is_there[is_there] = offsets[at[is_there], 0] < spans[is_there, 1]
    found[at[is_there]] = np.asarray(numbers, np.int16)[is_there]
    return found


def _finish(
    folder: Path, corpus: Corpus, tags: dict[str, int], labels: list[str], dtype: np.dtype
) -> None:
    """Number classes and tags by their sorted names, and say what the index holds."""
    names = None
    if labels:
        are_numbers = all(label.isdecimal() for label in labels)
        width = max(map(len, labels)) if are_numbers else 0  # "10" comes after "9"
        words = np.array([label.zfill(width) for label in labels])
        numbers, names = check_labels(words, len(labels), f"{corpus.name}: its labels")
        names = [str(int(name)) for name in names or ()] if are_numbers else names
        np.save(folder / "labels.npy", numbers)
    if tags:
        order = sorted(tags)
        new = np.array([order.index(tag) for tag in tags], np.int16)
        path = folder / "tags.bin"
        old = np.fromfile(path, np.int16)
        np.where(old < 0, old, new[old]).astype(np.int16).tofile(path)
        tags = {tag: number for number, tag in enumerate(order)}
    else:
        (folder / "tags.bin").unlink()
    said = {
        "source": corpus.name,
        "files": list(corpus.files),
        "dtype": dtype.name,
        "class_names": names,
        "tag_names": list(tags),
    }
    (folder / "index.json").write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")
