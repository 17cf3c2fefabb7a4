"""A data set as the rest of maskjax sees it: its splits in batches, and what is known of it."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from maskjax.data import pipeline
from maskjax.data.corruption import Corrupting, Corruption
from maskjax.data.pipeline import Loader
from maskjax.data.processor import Processor
from maskjax.data.rows import RowProcessor, Rows
from maskjax.data.sources import SPLITS, Source, some_indices
from maskjax.spelling import unknown_name
from maskjax.typing import Batch, Bool


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
        num_targets: numbers that stand beside each example, 0 where there are none.
    """

    processor: Processor
    num_classes: int | None
    class_names: tuple[str, ...] | None
    num_train: int
    num_validation: int
    num_test: int
    num_targets: int = dataclasses.field(default=0, kw_only=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of one example, channels last; not every processor has them."""
        return self.processor.shape  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def has_gate(self) -> bool:
        """Whether batches have a "gate", the m of a soft gate."""
        return getattr(self.processor, "has_gate", False)


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
        if self.num_targets:
            classes = f", {self.num_targets} targets each"
        return f"{splits} {self.processor.in_words}{classes}"

    @property
    def num_skipped(self) -> int:
        """Files left out for their headers, or that this process could not decode and skipped."""
        return len(self._loaders["train"].skipped)

    @property
    def num_shapes(self) -> int:
        """How many shapes training batches come in."""
        groups = self._loaders["train"].source.groups
        return 1 if groups is None else len(np.unique(groups))

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
            **({"num_targets": self.num_targets} if self.num_targets else {}),
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
        self,
        split: str,
        batch_size: int,
        limit: int | None = None,
        corruption: tuple[str, int] | None = None,
    ) -> Iterator[Batch]:
        """Iterate once over a split in a fixed order without augmentation.

        Args:
            split: "train", "validation" or "test".
            batch_size: of all processes together; the last batch is padded to it.
            limit: use only a fixed random subset of so many examples.
            corruption: of them, by name and severity; see `check_corruptions`.

        Returns:
            A finite iterator like that of `train_batches`, of epoch 0; "is_valid" is False where
            an example could not be decoded, or is padding, whose "id" is -1. It is empty where
            the split has no examples.

        Raises:
            ValueError: for another split, or a batch size that the processes do not divide.
        """
        if split not in SPLITS:
            raise ValueError(f"split={split!r} must be one of {SPLITS}")
        check_batch_size(batch_size, self._process_count)
        loader = self._loaders.get(split)
        if loader is None:
            return iter(())
        if corruption:
            whole = Corruption(*corruption, seed=self._seed)
            loader = dataclasses.replace(loader, corruption=whole)
        total = len(loader.source)
        return pipeline.eval_batches(
            loader,
            some_indices(total, limit or total),
            batch_size=batch_size,
            process_index=self._process_index,
            process_count=self._process_count,
        )

    def check_corruptions(self, names: Sequence[str]) -> None:
        """Refuse, in a ValueError, names of corruptions that examples of this kind lack."""
        processor = self.processor
        known = processor.corruptions if isinstance(processor, Corrupting) else ()
        for name in names:
            if not known:
                raise ValueError(
                    f"eval.corruptions {name!r}: there are none of {processor.in_words}, nor "
                    "where data.missing is set; leave it at ()"
                )
            if name not in known:
                raise ValueError(unknown_name("corruption in eval.corruptions", name, known))

    def on_device(self, batch: Batch) -> Batch:
        """Complete a batch within a compiled program; without `is_compact` it is complete."""
        complete = getattr(self.processor, "on_device", None)
        return batch if complete is None else complete(batch)

    def with_rows(
        self, arrays: Mapping[str, np.ndarray], is_valid: Bool[np.ndarray, "N"]
    ) -> "Data":
        """Put arrays that were computed of the training examples in the place of these.

        Args:
            arrays: [num_train, ...] by name, in the order of the split; "label" is the class.
            is_valid: False for examples that could not be decoded.

        Returns:
            Data whose training batches have the same examples in the same order as these.
        """
        loader = self._loaders["train"]
        shapes = {name: array.shape[1:] for name, array in arrays.items() if name != "label"}
        processor, source = RowProcessor(shapes), Rows(loader.source, arrays, is_valid)
        train = dataclasses.replace(loader, source=source, processor=processor)
        loaders = {"train": train}
        return dataclasses.replace(self, processor=processor, _loaders=loaders, _num_workers=0)

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


def check_batch_size(batch_size: int, process_count: int) -> None:
    """Refuse a batch that so many processes cannot share."""
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"batch size {batch_size} must be a positive multiple of the {process_count} processes"
        )
