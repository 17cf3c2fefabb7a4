"""Random access to records: what a source is, and the registries."""

import abc
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from maskjax.data.processor import Example, Processor, Record
from maskjax.data.settings import Settings
from maskjax.spelling import unknown_name
from maskjax.typing import Int

# Subsets are the same for every training seed, so that runs of different seeds are comparable.
SUBSET_SEED = 20_220_101

# An array of more bytes is judged by so many bytes of evenly spaced rows (sha256: 0.2 s).
_MAX_HASHED = 2**28


class Source(abc.ABC):
    """Random access to the examples of one split; implementations must be picklable.

    Attributes:
        shape: (*spatial, C) of the stored examples where they are arrays, None along axes where
            they differ or where it is not known without reading them all.
        num_classes: number of classes, None where records have no "label".
        class_names: names of the classes in label order, None where they have none.
        value_range: of arrays, stored numbers that stand for 0 and 1, each one for all channels or
            one a channel [C]; None means that the dtype tells (see `ranges.to_unit`).
        in_memory: whether reading an example is so cheap that threads would only slow it down.
        is_wide: whether some image, however rare, is known to have more than 8 bits a number.
        has_gate: whether records have a "gate", the m of a soft gate, from 0 to 1 = seen.
        groups: a number for each example: training batches are made of those of one number, and the
            processor's `shortened` makes them as small as that group needs; None = of any.
    """

    shape: tuple[int | None, ...] = ()
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    value_range: tuple[Any, Any] | None = None
    in_memory: bool = False
    is_wide: bool = False
    has_gate: bool = False
    groups: Int[np.ndarray, "N"] | None = None

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of examples."""

    @abc.abstractmethod
    def __getitem__(self, index: int) -> Record:
        """Return example `index`, 0 <= index < len(self); the same one at every call."""

    def labels(self) -> Int[np.ndarray, "N"] | None:
        """Return all labels, or None where there are none or reading them would be slow."""
        return None

    def base(self) -> "tuple[Source, Int[np.ndarray, 'N']]":
        """Return the source that this one was taken from, and its examples' indices there."""
        return self, np.arange(len(self))

    def fingerprint(self) -> str:
        """Return a hash by which other data are noticed, wherever they lie; cheap to compute.

        This one knows the number of examples, their shape and the classes; sources that can add
        what they hold.
        """
        return digest(len(self), self.shape, self.num_classes, self.class_names)


def digest(*parts: object) -> str:
    """Return a hash of arrays, of bytes and of anything that its `repr` tells apart."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(repr((part.dtype.str, part.shape)).encode())
            if part.nbytes > _MAX_HASHED:
                count = max(1, len(part) * _MAX_HASHED // part.nbytes)
                part = part[np.linspace(0, len(part) - 1, count).astype(int)]
            found.update(np.ascontiguousarray(part).data.cast("B") if part.size else b"")
        else:
            content = part if isinstance(part, bytes) else repr(part).encode()
            found.update(b"%d:" % len(content) + content)
    return found.hexdigest()[:32]


SPLITS = ("train", "validation", "test")


class Splits(NamedTuple):
    """The examples of a source.

    Attributes:
        train: to learn from.
        validation: to choose by, None where the source sets none apart.
        test: to judge by at the end, None where the source sets none apart.
        skipped: what is wrong with each file that was left out.
    """

    train: Source
    validation: Source | None = None
    test: Source | None = None
    skipped: frozenset[str] = frozenset()

    def set_apart(self) -> dict[str, Source]:
        """Return those of validation and test that are there, by name."""
        both = {"validation": self.validation, "test": self.test}
        return {name: source for name, source in both.items() if source is not None}


@runtime_checkable
class Sample(Protocol):
    """Reads at most so many examples of a split, of none where it is not there.

    They are the same ones for every seed; files that are skipped are left out.
    """

    def __call__(
        self, processor: Processor, count: int, split: str = "train"
    ) -> Iterator[Example]: ...


class Modality(NamedTuple):
    """What sources of one kind of data share.

    Attributes:
        settings: the keys of `config.data`, a dataclass derived from `Settings`.
        prepare: (splits, settings, sample) -> processor; raises a ValueError where settings and
            splits do not fit.
        restore: (description, settings) -> processor, from what it said of itself in `describe`,
            without the data.
        compact: (processor, splits, settings, sample) -> processor whose batches are as small as
            they can be on the way to a device, where its `on_device` completes them; None where
            nothing is smaller.
        arrange: (splits, settings) -> splits of other examples, such as rows of documents, made
            when it is settled whose examples are whose; None where a record is an example.
    """

    settings: type[Settings]
    prepare: Callable[[Splits, Any, Sample], Processor]
    restore: Callable[[Mapping[str, Any], Any], Processor]
    compact: Callable[[Any, Splits, Any, Sample], Processor] | None = None
    arrange: Callable[[Splits, Any], Splits] | None = None


class Opener(NamedTuple):
    """How a source is opened, (argument, settings) -> splits, and the name of its modality."""

    open: Callable[[str, Any], Splits]
    modality: str


SOURCES: dict[str, Opener] = {}
MODALITIES: dict[str, Modality] = {}


def register(name: str, modality: str = "image"):
    """Return a decorator that makes `(argument, settings) -> Splits` known as source `name`.

    Args:
        name: what stands before the colon in `config.data.source`; what follows it is passed as
            `argument` ("" if nothing does).
        modality: whose settings it is passed, and whose processor reads its records; one of
            `MODALITIES`.
    """

    def add(function: Callable[[str, Any], Splits]):
        SOURCES[name] = Opener(function, modality)
        return function

    return add


def _opener(name: str) -> Opener:
    kind = name.partition(":")[0]
    if kind not in SOURCES:
        raise ValueError(unknown_name("data source", kind, SOURCES))
    return SOURCES[kind]


def modality_of(name: str) -> Modality:
    """Return the modality of a source.

    Args:
        name: `NAME` or `NAME:ARGUMENT`, as in `config.data.source`.

    Raises:
        ValueError: for an unknown name (with the known ones), or an unknown modality.
    """
    modality = _opener(name).modality
    if modality not in MODALITIES:
        raise ValueError(unknown_name(f"modality of data source {name!r}", modality, MODALITIES))
    return MODALITIES[modality]


def open_splits(name: str, settings: Any) -> Splits:
    """Open the source with the given name.

    Args:
        name: `NAME` or `NAME:ARGUMENT`, as in `config.data.source`.
        settings: passed on.

    Returns:
        Its splits, as the source sets them apart.

    Raises:
        ValueError: for an unknown name (with the known ones) or unusable data.
        FileNotFoundError: where files are missing.
    """
    return _opener(name).open(name.partition(":")[2], settings)


def refuse_argument(name: str, argument: str) -> None:
    """Raise a ValueError where something follows the name of a source that takes nothing."""
    if argument:
        raise ValueError(
            f"data source '{name}:{argument}': nothing follows the name; set it to {name!r}"
        )


class Subset(Source):
    """The examples of a source at given indices."""

    def __init__(self, source: Source, indices: Int[np.ndarray, "N"]):
        self._source = source
        self._indices = indices
        for name in Source.__annotations__:
            setattr(self, name, getattr(source, name))
        if source.groups is not None:
            self.groups = source.groups[indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Record:
        return self._source[int(self._indices[index])]

    def labels(self) -> Int[np.ndarray, "N"] | None:
        labels = self._source.labels()
        return None if labels is None else labels[self._indices]

    def base(self) -> tuple[Source, Int[np.ndarray, "N"]]:
        source, indices = self._source.base()
        return source, indices[self._indices]

    def fingerprint(self) -> str:
        return digest(self._source.fingerprint(), self._indices)


def some_indices(total: int, count: int) -> Int[np.ndarray, "N"]:
    """Return a fixed random subset of `count` of so many indices, sorted (all if there are fewer).

    A larger count contains every smaller one. The subset is random because stored order is often
    by class, or periodic in it.
    """
    if count >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(SUBSET_SEED).permutation(total)[:count])


def take(source: Source, count: int) -> Source:
    """Return the examples of a source at `some_indices`."""
    return source if count >= len(source) else Subset(source, some_indices(len(source), count))
