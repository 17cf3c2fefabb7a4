"""What masks hide as a whole: collocations of the training texts, found once and kept on disk."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.data.sources import digest
from maskjax.data.text.collocations import Collocations, Words, learn, unit_starts, words_of
from maskjax.data.text.index import Index, folder_of, kept, mapped
from maskjax.data.text.settings import TextSettings
from maskjax.data.text.subwords import Tokenizer
from maskjax.paths import atomic_folder
from maskjax.typing import Bool, Int

_VERSION = 1
_MOST_COUNTED = 2**25  # tokens that are learned from
_STARTS, _LIST = "starts.bin", "collocations.json"


@dataclasses.dataclass(frozen=True)
class Units:
    """Where the units of an index begin; memory-mapped, and pickled by its path.

    Attributes:
        folder: where that is kept, with a list of the collocations for people to read.
    """

    folder: Path

    def __reduce__(self):
        return type(self), (self.folder,)

    @functools.cached_property
    def is_start(self) -> Bool[np.ndarray, "N"]:
        """True where a token begins a unit."""
        return mapped(self.folder / _STARTS, np.dtype(bool))


@dataclasses.dataclass(frozen=True)
class Learner:
    """Finds the collocations of training texts, `data.units` of them, and units of any texts.

    Attributes:
        index: of the training texts.
        numbers: of the training documents in it.
        tokenizer: of all texts.
        settings: "units" and "index" are read.
    """

    index: Index
    numbers: Int[np.ndarray, "D"]
    tokenizer: Tokenizer
    settings: TextSettings

    def units_of(self, index: Index) -> Units:
        """Find the units of an index, or open what was found before."""
        key = digest(_VERSION, self.settings.units, self.index.key, self.numbers, index.key)
        with kept(folder_of(self.settings.index), f"units-{key}") as path:
            if not (path / _LIST).exists():
                with atomic_folder(path) as new:
                    self._write(new, index)
        return Units(path)

    def _write(self, folder: Path, index: Index) -> None:
        words = words_of(index.tokens, index.is_start, index.offsets)
        found = unit_starts(words, self._learned, len(index.tokens))
        found.tofile(folder / _STARTS)
        (folder / _LIST).write_text(json.dumps(self._named(), ensure_ascii=False, indent=1))

    @functools.cached_property
    def _texts(self) -> tuple[Any, Words]:
        """Tokens of the training texts, one after the other, and their words."""
        held = self.index
        sizes = np.diff(held.offsets)[self.numbers]
        numbers = self.numbers[: int(np.searchsorted(np.cumsum(sizes), _MOST_COUNTED)) + 1]
        spans = [slice(*held.offsets[number : number + 2].tolist()) for number in numbers]
        tokens = np.concatenate([held.tokens[span] for span in spans])
        is_start = np.concatenate([held.is_start[span] for span in spans])
        offsets = np.concatenate([[0], np.cumsum(sizes[: len(numbers)])])
        return tokens, words_of(tokens, is_start, offsets)

    @functools.cached_property
    def _learned(self) -> Mapping[int, Collocations]:
        return learn(self._texts[1], int(self.settings.units.partition(":")[2]))

    def _named(self) -> dict[str, list[str]]:
        """The collocations by their lengths, best first, as the tokenizer spells them."""
        tokens, words = self._texts
        ends = np.append(words.begins, len(tokens))
        return {
            str(length): [
                self.tokenizer.decode(tokens[ends[at] : ends[at + length]].tolist())
                for at in each.examples.tolist()
            ]
            for length, each in self._learned.items()
        }
