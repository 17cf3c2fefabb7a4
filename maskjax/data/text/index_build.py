"""Writing the index of a corpus, which may be larger than memory."""

import array
import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.data.labels import check_labels
from maskjax.data.progress import shown
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text
from maskjax.data.text.subwords import Tokenizer
from maskjax.data.text.tokenizer import Encoded
from maskjax.typing import Int

OF_WORDS = ("tags", "kinds")  # what texts may say of their words
_CHARACTERS = 2**20  # that are tokenised at a time
_NONE = -1


def build(folder: Path, corpus: Corpus, tokenizer: Tokenizer) -> None:
    """Write the index of a corpus into a folder.

    Raises:
        ValueError: the corpus has no text.
    """
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    offsets, seconds, places = array.array("q", [0]), array.array("i"), array.array("q")
    labels: list[str] = []
    numbers: dict[str, dict[str, int]] = {name: {} for name in OF_WORDS}
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context((folder / f"{name}.bin").open("wb"))
            for name in ("tokens", "starts", *OF_WORDS)
        }
        documents = shown(corpus.read(), "reading texts", "document")
        for texts in _by_size(documents):
            has_offsets = any(getattr(texts[0], name) is not None for name in OF_WORDS)
            firsts = tokenizer.encode([text.text for text in texts], has_offsets=has_offsets)
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
                for name, known in numbers.items():
                    if (words := getattr(text, name)) is not None:
                        files[name].write(_of_words(first, words, known).tobytes())
                files["tokens"].write(ids.astype(dtype).tobytes())
                files["starts"].write(is_start.astype(bool).tobytes())
                offsets.append(offsets[-1] + len(ids))
    if offsets[-1] == 0:
        raise ValueError(f"data source {corpus.name!r} has no text: fill it, or take another")
    _finish(folder, corpus, numbers, labels, dtype)
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


def _of_words(
    found: Encoded, words: Sequence[tuple[int, int, str]], known: dict[str, int]
) -> Int[np.ndarray, "n"]:
    """Number what is said of words, new names too, at the first token of each."""
    assert found.offsets is not None
    numbers = [known.setdefault(name, len(known)) for *_, name in words]
    spans = np.array([word[:2] for word in words], np.int64)
    return tags_of(found.offsets, spans, numbers)


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
    found = np.full(len(offsets), _NONE, np.int16)
    at = np.searchsorted(offsets[:, 1], spans[:, 0], side="right")  # the first that ends behind
    is_there = at < len(offsets)
    is_there[is_there] = offsets[at[is_there], 0] < spans[is_there, 1]
    found[at[is_there]] = np.asarray(numbers, np.int16)[is_there]
    return found


def class_numbers(labels: Sequence[str], source: str) -> tuple[Int[np.ndarray, "D"], list[str]]:
    """Number classes by their sorted names, those that are numbers by their values.

    Args:
        labels: of documents, at least one.
        source: for messages.

    Returns:
        The number of each document's class, and the names.
    """
    are_numbers = all(label.isdecimal() for label in labels)
    width = max(map(len, labels)) if are_numbers else 0  # "10" comes after "9"
    words = np.array([label.zfill(width) for label in labels])
    numbers, names = check_labels(words, len(labels), f"{source}: its labels")
    return numbers, [str(int(name)) if are_numbers else name for name in names or ()]


def _finish(
    folder: Path,
    corpus: Corpus,
    numbers: dict[str, dict[str, int]],
    labels: list[str],
    dtype: np.dtype,
) -> None:
    """Number classes, tags and kinds by their sorted names, and say what the index holds."""
    names = None
    if labels:
        of_documents, names = class_numbers(labels, corpus.name)
        np.save(folder / "labels.npy", of_documents)
    said: dict[str, Any] = {
        "source": corpus.name,
        "files": list(corpus.files),
        "dtype": dtype.name,
        "class_names": names,
    }
    for name, known in numbers.items():
        said[f"{name.removesuffix('s')}_names"] = _sorted(folder / f"{name}.bin", known)
    (folder / "index.json").write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")


def _sorted(path: Path, known: dict[str, int]) -> list[str]:
    """Number names in their order, in a file that has them as they came; without any it goes."""
    if not known:
        path.unlink()
        return []
    order = sorted(known)
    new = np.array([order.index(name) for name in known], np.int16)
    old = np.fromfile(path, np.int16)
    np.where(old < 0, old, new[old]).astype(np.int16).tofile(path)
    return order
