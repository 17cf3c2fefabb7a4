"""Arrays that were computed of examples, in place of the examples themselves."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from maskjax.data.processor import Example, Record, UndecodableError, stack
from maskjax.data.sources import Source
from maskjax.typing import Batch, Bool, Shaped

_PROBLEM = "problem"  # of a record that stands for what could not be decoded


class Rows(Source):
    """Rows of arrays, one an example of another source.

    Args:
        source: of the examples.
        arrays: [N, ...] by name, "label" among them where examples have classes.
        is_valid: False for examples that could not be decoded, and have no row.
    """

    in_memory = True

    def __init__(
        self,
        source: Source,
        arrays: Mapping[str, Shaped[np.ndarray, "N ..."]],
        is_valid: Bool[np.ndarray, "N"],
    ):
        self._arrays, self._is_valid = dict(arrays), is_valid
        self.num_classes, self.class_names = source.num_classes, source.class_names

    def __len__(self) -> int:
        return len(self._is_valid)

    def __getitem__(self, index: int) -> Record:
        problem = None if self._is_valid[index] else f"example {index} could not be decoded"
        return {_PROBLEM: problem, **{name: array[index] for name, array in self._arrays.items()}}


@dataclasses.dataclass(frozen=True)
class RowProcessor:
    """Takes some arrays of a record as they are; inputs of one's own have none.

    Attributes:
        shapes: of the arrays of an example, by name.
    """

    shapes: Mapping[str, tuple[int, ...]]
    is_random: bool = False

    @property
    def in_words(self) -> str:
        """What examples are."""
        return f"rows of {', '.join(self.shapes)}"

    def __call__(self, record: Record, rng: np.random.Generator | None = None) -> Example:
        """Take the arrays."""
        if record[_PROBLEM]:
            raise UndecodableError(record[_PROBLEM])
        return {name: record[name] for name in self.shapes}

    def empty(self) -> Example:
        """Make zeros."""
        return {name: np.zeros(shape, np.float32) for name, shape in self.shapes.items()}

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Stack the arrays."""
        return stack(examples)

    def read(self, text: str) -> Iterator[tuple[str, Example]]:
        """Refuse: such rows are computed, not read."""
        raise ValueError(f"{text}: {self.in_words} are computed, not read")

    def describe(self) -> dict[str, Any]:
        """Say nothing."""
        return {}
