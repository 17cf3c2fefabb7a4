"""What is done to examples before a trained model is judged on them, by name and severity."""

from typing import NamedTuple, Protocol, runtime_checkable

from maskjax.data.processor import Example

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(NamedTuple):
    """One of those that a modality has.

    Attributes:
        name: such as "blur".
        severity: of `SEVERITIES`.
        seed: of the run; with the id of an example it decides what is drawn.
    """

    name: str
    severity: int
    seed: int


@runtime_checkable
class Corrupting(Protocol):
    """A processor whose examples can be corrupted.

    Attributes:
        corruptions: their names; () where there is something that none leaves as it is.
    """

    @property
    def corruptions(self) -> tuple[str, ...]: ...

    def corrupt(self, example: Example, corruption: Corruption, id: int) -> Example:
        """Corrupt an example before it is normalised, the same way at every call."""
        ...
