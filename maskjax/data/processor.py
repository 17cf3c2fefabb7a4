"""What a processor is: from a stored record to the arrays of one example, one for each modality."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from maskjax.typing import Batch

# What a source gives: {"image", "label"}, {"items"}, {"text", "label"} ...
Record = Mapping[str, Any]
# Arrays of one example, by the names that batches have.
Example = dict[str, np.ndarray]


@runtime_checkable
class Processor(Protocol):
    """Turns records into examples and examples into batches; picklable.

    Attributes:
        is_random: whether a training example depends on the generator that it is given.
    """

    is_random: bool

    def __call__(self, record: Record, rng: np.random.Generator | None = None) -> Example:
        """Make an example.

        Args:
            record: what a source gives.
            rng: for training; None is the evaluation's way, without chance.

        Raises:
            UndecodableError: a file that cannot be decoded.
        """
        ...

    def empty(self) -> Example:
        """Make an example that only fills a batch."""
        ...

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Stack examples to a batch."""
        ...

    def describe(self) -> dict[str, Any]:
        """Say what examples are like, in values that JSON knows: shapes, scales, vocabulary."""
        ...
