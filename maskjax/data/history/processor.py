"""From histories of items to rows of ids, and from ids back to names."""

import csv
import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.data.history.histories import PADDING, padded
from maskjax.data.history.settings import HistorySettings
from maskjax.data.processor import Example, Record, stack


@dataclasses.dataclass(frozen=True)
class HistoryProcessor:
    """Reads {"items": ids from 1, oldest first} and where there is one the "target" behind them.

    Attributes:
        length: items of an example.
        longest: items of the longest history.
        window: "newest" or "random", see `HistorySettings`.
        names: of the items: id i is names[i - 1].
        gate: m of each item, how much of it is seen; None where all are seen.
    """

    length: int
    longest: int
    window: str
    names: tuple[str, ...]
    gate: np.ndarray | None = None

    @classmethod
    def restore(
        cls, description: Mapping[str, Any], settings: HistorySettings
    ) -> "HistoryProcessor":
        """Make it from what `describe` said, without the data."""
        names = tuple(description["item_names"])
        gate = np.array(description["gate"], np.float32) if "gate" in description else None
        return cls(description["length"], description["longest"], settings.window, names, gate)

    @property
    def is_random(self) -> bool:
        """Whether training examples are windows drawn at random."""
        return self.window == "random"

    @property
    def in_words(self) -> str:
        """What examples are."""
        return f"histories of up to {self.length} of {self.num_items} items"

    @property
    def num_items(self) -> int:
        """V, how many items there are, seen in training or not."""
        return len(self.names)

    def __call__(self, record: Record, rng: np.random.Generator | None = None) -> Example:
        """Make a row of ids.

        Args:
            record: has "items", and "target" where it is to be found.
            rng: for random windows.

        Returns:
            "items" int32 [length], the newest ones or a window, padded in front with 0; with a
            target also "target" int32 and "seen" int32 [longest], the ids of all items before it,
            each once, padded with 0.
        """
        items = np.asarray(record["items"])
        if "target" in record:
            return {
                "items": padded(items, self.length),
                "target": np.array(record["target"], np.int32),
                "seen": padded(np.unique(items), self.longest),
            }
        if rng is not None and self.is_random and len(items) > self.length:
            items = items[: rng.integers(self.length, len(items) + 1)]
        return {"items": padded(items, self.length)}

    def empty(self) -> Example:
        """Make a history of nothing."""
        return self({"items": np.zeros(0, np.int32), "target": 1})

    def collate(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """Stack the rows; "seen" is as wide as the widest, for one's own may exceed `longest`."""
        if "seen" in examples[0]:
            width = max(len(example["seen"]) for example in examples)
            examples = [{**each, "seen": padded(each["seen"], width)} for each in examples]
        return stack(examples)

    def words(self, ids: Sequence[int]) -> list[str]:
        """Name items; padding has no name."""
        return ["" if i == PADDING else self.names[i - 1] for i in ids]

    def read(self, text: str, *, is_strict: bool = False) -> Iterator[tuple[str, Example]]:
        """Read histories of one's own.

        Args:
            text: names of items with commas between them, oldest first, or the path of a file with
                a history a line.
            is_strict: makes no difference: a history that cannot be read is always refused.

        Yields:
            The history as it was written, or its line's number, and its example: "items" and
            "seen", with all that was written however long it is.

        Raises:
            ValueError: items that the data does not have, or none at all.
        """
        del is_strict
        if not os.path.isfile(text):  # False too for a text that is too long to be a path
            yield text, self.from_text(text, text)
            return
        for number, line in enumerate(Path(text).read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                yield f"line {number}", self.from_text(line, f"line {number} of {text}")

    def describe(self) -> dict[str, Any]:
        """Say how long examples are, and the items' names and gates in the order of their ids."""
        gate = {} if self.gate is None else {"gate": self.gate.tolist()}
        return {
            "length": self.length,
            "longest": self.longest,
            "item_names": list(self.names),
            **gate,
        }

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names, 1)}

    def from_text(self, text: str, where: str) -> Example:
        """Make an example of names with commas between them, which messages call `where`."""
        names = [name.strip() for name in next(csv.reader([text]), []) if name.strip()]
        unknown = [name for name in names if name not in self._ids]
        if unknown or not names:
            such = ", ".join(self.names[:3])
            what = f"unknown items {', '.join(unknown)}" if unknown else "no items"
            raise ValueError(
                f"{where!r}: {what}; give names of the {self.num_items} items of the data, such as"
                f" {such}, with commas between them, or the path of a file with a history a line"
            )
        items = np.array([self._ids[name] for name in names], np.int32)
        seen = np.unique(items)
        return {**self({"items": items}), "seen": padded(seen, max(self.longest, len(seen)))}
