"""What a processor is: from a stored record to the arrays of one example, one for each modality."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from maskjax.typing import Batch

# What a source gives: {"image", "label"}, {"items"}, {"text", "label"} ... A "label" is a class
# number, and the loader's business; everything else is the processor's.
Record = Mapping[str, Any]
# Arrays of one example, by the names that batches have.
Example = dict[str, np.ndarray]


class UndecodableError(ValueError):
    """A file that cannot be decoded; the message names it."""


@runtime_checkable
class Processor(Protocol):
    """Turns records into examples and examples into batches; picklable.

    Attributes:
        is_random: whether a training example depends on the generator that it is given.
        in_words: what examples are, in the plural: "images of 8x8x1".
    """

    @property
    def is_random(self) -> bool: ...

    @property
    def in_words(self) -> str: ...

    def __call__(self, record: Record, rng: np.random.Generator | None = None) -> Example:
        """Make an example.

        Args:
            record: what a source gives.
            rng: for training, where `is_random`; None is the evaluation's way, without chance.

        Raises:
            UndecodableError: a file that cannot be decoded.
            ValueError: a record that does not fit.
        """
        ...

    def empty(self) -> Example:
        """Make an example that only fills a batch."""
        ...

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Make a batch, one row an example; `stack` where all arrays are of one shape."""
        ...

    def read(self, text: str, *, is_strict: bool = False) -> Iterator[tuple[str, Example]]:
        """Make examples of a user's own input, one at a time.

        Args:
            text: the path of a file or folder, or what else stands for an input.
            is_strict: whether what a folder holds that cannot be decoded is refused.

        Yields:
            A name and an example for each input; what a folder holds that cannot be decoded is left
            out with a warning, where that is not strict.

        Raises:
            FileNotFoundError: there is no such file.
            UndecodableError: a file cannot be decoded.
            ValueError: it cannot be read; the message says what can.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Say what examples are like, in values that JSON knows: shapes, scales, vocabulary."""
        ...


def stack(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Stack the arrays of each name: [*shape] of B examples to [B, *shape]."""
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


def batch_of(processor: Processor, examples: Sequence[Example], size: int | None = None) -> Batch:
    """Make a batch of examples that are from no split.

    Args:
        processor: theirs.
        examples: at least one.
        size: rows; those after the examples only fill it. None is as many as examples.

    Returns:
        What the processor collates, with "id" -1, "epoch" 0, and "is_valid".
    """
    padding = max(0, (size or 0) - len(examples))
    rows = [*examples, *(processor.empty() for _ in range(padding))]
    marks = {"id": np.full(len(rows), -1, np.int32), "epoch": np.zeros(len(rows), np.int32)}
    return {**processor.collate(rows), **marks, "is_valid": np.arange(len(rows)) < len(examples)}
