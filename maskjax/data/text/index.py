"""The tokens of a corpus on disk: built once, read in place by any number of processes."""

import contextlib
import dataclasses
import fcntl
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.data.sources import digest
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.index_build import build
from maskjax.data.text.subwords import Tokenizer
from maskjax.paths import atomic_folder, local_path
from maskjax.typing import Bool, Int, Shaped

_VERSION = 1


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
        return mapped(self.folder / "tokens.bin", np.dtype(self._said["dtype"]))

    @functools.cached_property
    def is_start(self) -> Bool[np.ndarray, "N"]:
        """True where a token begins a word."""
        return mapped(self.folder / "starts.bin", np.dtype(bool))

    @functools.cached_property
    def tags(self) -> Int[np.ndarray, "N"] | None:
        """Numbers of the tags of words, at the first token of each, else -1; None without tags."""
        return self._of_words("tags")

    @functools.cached_property
    def kinds(self) -> Int[np.ndarray, "N"] | None:
        """Numbers of the kinds of words, likewise; None where the corpus says none."""
        return self._of_words("kinds")

    def _of_words(self, name: str) -> Int[np.ndarray, "N"] | None:
        path = self.folder / f"{name}.bin"
        return mapped(path, np.dtype(np.int16)) if path.exists() else None

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

    @property
    def kind_names(self) -> tuple[str, ...]:
        """Names of the kinds in the order of their numbers; () without any."""
        return tuple(self._said.get("kind_names", ()))  # older indexes say nothing

    def __len__(self) -> int:
        return len(self.offsets) - 1


def mapped(path: Path, dtype: np.dtype) -> np.ndarray:
    """Map an array in a file without a header, which may be of nothing."""
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
                build(new, corpus, tokenizer)
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
