"""From `config.data` to `Data`: what the rest of maskjax sees of a data set.

    source (sources.py)  ->  record  ->  processor (MODALITY/)  ->  example  ->  batch (pipeline.py)

The source's name tells the modality, which brings its own settings and its own processor; nothing
here knows what a record holds.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from maskjax.data import pipeline
from maskjax.data.labels import match_classes
from maskjax.data.pipeline import Loader
from maskjax.data.processor import Example, Processor
from maskjax.data.progress import shown
from maskjax.data.settings import Config, Settings
from maskjax.data.sources import (
    SPLITS,
    Source,
    Splits,
    hold_out,
    modality_of,
    open_splits,
    some_indices,
    take,
)  # fmt: skip
from maskjax.typing import Batch


@dataclasses.dataclass(frozen=True)
class Described:
    """What is known of a data set without opening it.

    Attributes:
        processor: from a record, or an input of one's own, to arrays and back.
        num_classes: None without labels.
        class_names: in label order, where classes have names.
        num_train: number of training examples.
        num_validation: number of validation examples, 0 where there are none.
        num_test: number of test examples, 0 where there are none.
    """

    processor: Processor
    num_classes: int | None
    class_names: tuple[str, ...] | None
    num_train: int
    num_validation: int
    num_test: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of one example, channels last; not every processor has them."""
        return self.processor.shape  # pyright: ignore[reportAttributeAccessIssue]


@dataclasses.dataclass(frozen=True)
class Data(Described):
    """A data set, ready to be read in batches."""

    _loaders: Mapping[str, Loader]
    _seed: int
    _batch_size: int
    _num_workers: int
    _process_index: int
    _process_count: int

    @property
    def in_words(self) -> str:
        """How many examples there are, of which kind and how many classes."""
        numbers = {
            "training": self.num_train,
            "validation": self.num_validation,
            "test": self.num_test,
        }
        *others, last = (f"{number} {name}" for name, number in numbers.items() if number)
        splits = f"{', '.join(others)} and {last}" if others else last
        classes = f", {self.num_classes} classes" if self.num_classes else ", no labels"
        return f"{splits} {self.processor.in_words}{classes}"

    @property
    def num_skipped(self) -> int:
        """Files left out for their headers, or that this process could not decode and skipped."""
        return len(self._loaders["train"].skipped)

    def describe(self) -> dict[str, Any]:
        """Say what the data is, not where, in values that JSON knows.

        Returns:
            "num_train", "num_validation", "num_test", "num_classes", "class_names"; "fingerprints"
            of the splits' sources, equal for equal examples at another place, None where there is
            no such split; and what the processor says.
        """
        return dict(self._description)

    @functools.cached_property
    def _description(self) -> dict[str, Any]:
        prints = {name: loader.source.fingerprint() for name, loader in self._loaders.items()}
        return {
            "num_train": self.num_train,
            "num_validation": self.num_validation,
            "num_test": self.num_test,
            "num_classes": self.num_classes,
            "class_names": self.class_names and list(self.class_names),
            "fingerprints": {name: prints.get(name) for name in SPLITS},
            **self.processor.describe(),
        }

    def train_batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Iterate without end over this process's part of the shuffled, augmented batches.

        Args:
            start_step: number of the first batch; batch t is a function of (seed, t), and the
                batches before it are not read.

        Returns:
            An iterator of the processor's arrays [B, ...], with "label": int32 [B] where there are
            labels; "id": int32 [B], the example's index in its split, in whatever order it comes;
            "epoch": int32 [B], how often the split was gone through before; "is_valid": bool [B],
            all True. Its `close()` ends worker processes.
        """
        return pipeline.train_batches(
            self._loaders["train"],
            seed=self._seed,
            batch_size=self._batch_size,
            start_step=start_step,
            process_index=self._process_index,
            process_count=self._process_count,
            num_workers=self._num_workers,
        )

    def eval_batches(
        self, split: str, batch_size: int, limit: int | None = None
    ) -> Iterator[Batch]:
        """Iterate once over a split in a fixed order without augmentation.

        Args:
            split: "train", "validation" or "test".
            batch_size: of all processes together; the last batch is padded to it.
            limit: use only a fixed random subset of so many examples.

        Returns:
            A finite iterator like that of `train_batches`, of epoch 0; "is_valid" is False where
            an example could not be decoded, or is padding, whose "id" is -1. It is empty where
            the split has no examples.

        Raises:
            ValueError: for another split, or a batch size that the processes do not divide.
        """
        if split not in SPLITS:
            raise ValueError(f"split={split!r} must be one of {SPLITS}")
        _check_batch_size(batch_size, self._process_count)
        loader = self._loaders.get(split)
        if loader is None:
            return iter(())
        total = len(loader.source)
        return pipeline.eval_batches(
            loader,
            some_indices(total, limit or total),
            batch_size=batch_size,
            process_index=self._process_index,
            process_count=self._process_count,
        )

    def on_device(self, batch: Batch) -> Batch:
        """Complete a batch within a compiled program; without `is_compact` it is complete."""
        complete = getattr(self.processor, "on_device", None)
        return batch if complete is None else complete(batch)

    def source(self, split: str) -> Source | None:
        """Return the records of a split, for what is computed once of them.

        They are the same in every process; None where there is no such split.
        """
        loader = self._loaders.get(split)
        return loader and loader.source

    def examples(self, split: str, count: int) -> Batch:
        """Read the first examples of a split, the same in every process.

        Args:
            split: "train", "validation" or "test".
            count: how many, at least 1; a smaller split gives all it has that can be decoded.

        Returns:
            A complete batch as from `eval_batches`, of at most `count` rows that are all valid; {}
            where there is none.
        """
        alone = dataclasses.replace(self, _process_index=0, _process_count=1)
        found: dict[str, np.ndarray] = {}
        for batch in alone.eval_batches(split, count):
            rows = {name: x[batch["is_valid"]] for name, x in batch.items()}
            found = {
                name: np.concatenate([found[name], x])[:count] if found else x
                for name, x in rows.items()
            }
            if len(found["is_valid"]) == count:
                break
        return self.on_device(found) if found and len(found["is_valid"]) else {}


def build(
    config: Config,
    *,
    seed: int,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    is_compact: bool = False,
) -> Data:
    """Open a data set and check all that can be checked before training.

    Args:
        config: `config.data`; its keys are the attributes of `Settings` and those of the
            modality's own settings.
        seed: decides the order and the augmentation of training examples, not which ones are held
            out.
        batch_size: of the training batches, over all processes.
        process_index: which contiguous part of each batch this process gets.
        process_count: number of processes; it changes no global batch.
        is_compact: whether batches may be as small as they can, for `Data.on_device` to complete.

    Returns:
        The data set.

    Raises:
        ValueError: for settings that are wrong or do not fit the data, and for unusable data.
        FileNotFoundError: where files are missing.

    Example:
        >>> digits = build({"source": "digits"}, seed=0, batch_size=64)
        >>> digits.shape, digits.num_classes, digits.num_train, digits.num_validation
        ((8, 8, 1), 10, 1617, 180)
        >>> next(digits.train_batches(start_step=1000))["inputs"].shape
        (64, 8, 8, 1)
    """
    settings = settings_of(config)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed} must be at least 0 and below 2**32")
    _check_batch_size(batch_size, process_count)
    splits = _open(settings, batch_size)
    skipped = set(splits.skipped)

    def sample(processor: Processor, count: int) -> Iterator[Example]:
        some = take(splits.train, count)
        loader = Loader(some, processor, settings.bad_files, skipped)
        for index in shown(range(len(some)), "reading a sample", "example", len(some)):
            row = loader.evaluate(index)
            if row.is_valid:
                yield row.example

    modality = modality_of(settings.source)
    processor = modality.prepare(splits, settings, sample)
    if is_compact and modality.compact is not None:
        processor = modality.compact(processor, settings, sample)
    sources = {"train": splits.train, **splits.set_apart()}
    return Data(
        processor=processor,
        num_classes=splits.train.num_classes,
        class_names=splits.train.class_names,
        num_train=len(splits.train),
        num_validation=len(sources.get("validation", ())),
        num_test=len(sources.get("test", ())),
        _loaders={
            name: Loader(source, processor, settings.bad_files, skipped)
            for name, source in sources.items()
        },
        _seed=seed,
        _batch_size=batch_size,
        _num_workers=settings.num_workers,
        _process_index=process_index,
        _process_count=process_count,
    )


def restore(config: Config, description: Mapping[str, Any]) -> Described:
    """Make of what `Data.describe` said what can be had without the data.

    Args:
        config: `config.data`.
        description: values that JSON knows.

    Raises:
        KeyError: the description lacks something.
        ValueError: for settings that are wrong.
    """
    settings, description = settings_of(config), renewed(description)
    names = description.get("class_names")
    return Described(
        processor=modality_of(settings.source).restore(description, settings),
        num_classes=description.get("num_classes"),
        class_names=names and tuple(names),
        num_train=description["num_train"],
        num_validation=description["num_validation"],
        num_test=description["num_test"],
    )


def renewed(description: Mapping[str, Any]) -> dict[str, Any]:
    """Make of a description, from before there were test splits, what would be said now."""
    if "num_eval" not in description:
        return dict(description)
    prints = dict(description.get("fingerprints", {}))
    prints |= {"validation": prints.pop("eval", None), "test": None}
    numbers = {"num_validation": description["num_eval"], "num_test": 0, "fingerprints": prints}
    return {name: x for name, x in description.items() if name != "num_eval"} | numbers


def settings_of(config: Config) -> Settings:
    """Read `config.data` with the keys that the modality of its source has.

    Raises:
        ValueError: for an unknown source or key, or a value out of range.
    """
    return modality_of(str(config.get("source", Settings.source))).settings.from_config(config)


def _check_batch_size(batch_size: int, process_count: int):
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"batch size {batch_size} must be a positive multiple of the {process_count} processes"
        )


def _open(settings: Settings, batch_size: int) -> Splits:
    """Open the sources, keep as many training examples as wanted, and see that these fill a batch.

    The first epoch of fewer would have examples twice in a batch.
    """
    splits = _open_all(settings)
    found = len(splits.train)
    if settings.limit:
        splits = splits._replace(train=take(splits.train, settings.limit))
    if len(splits.train) < batch_size:
        is_limit = len(splits.train) < found
        kept = f" and data.limit={settings.limit} keeps fewer" if is_limit else ", fewer"
        advice = " or raise data.limit" if is_limit else ""
        raise ValueError(
            f"data source {settings.source!r} has {found} training examples{kept} than"
            f" batch_size={batch_size}; lower batch_size{advice}"
        )
    return splits


def _open_all(settings: Settings) -> Splits:
    """Open all sources and settle which examples are whose, and the numbers of their classes."""
    splits = open_splits(settings.source, settings)
    for name in ("validation", "test"):
        if place := getattr(settings, f"{name}_source"):
            source, skipped = _open_other(name, place, settings)
            splits = splits._replace(**{name: source}, skipped=splits.skipped | skipped)
    if splits.validation is None:
        test = settings.test_fraction if splits.test is None else 0.0
        held_out = hold_out(splits.train, settings.validation_fraction, test)
        splits = splits._replace(train=held_out.train, **held_out.set_apart())
    for name, source in splits.set_apart().items():
        place = getattr(settings, f"{name}_source")
        shown = f"data.{name}_source {place!r}" if place else f"data source {settings.source!r}"
        splits = splits._replace(**{name: match_classes(splits.train, source, shown)})
    return splits


def _open_other(name: str, place: str, settings: Settings) -> tuple[Source, frozenset[str]]:
    """Open a source of validation or test examples, and say which files were left out.

    It gives the split of that name where it has that; then the other; then all it has.
    """
    if modality_of(place) is not modality_of(settings.source):
        raise ValueError(
            f"data.{name}_source {place!r} is of another kind than data.source"
            f" {settings.source!r}; give one of the same kind"
        )
    found = open_splits(place, settings)
    apart = found.set_apart()
    return apart.get(name) or next(iter(apart.values()), found.train), found.skipped
