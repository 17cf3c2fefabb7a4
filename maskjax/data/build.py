"""From `config.data` to `Data`: what the rest of maskjax sees of a data set."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from maskjax.data import pipeline
from maskjax.data.labels import match_classes
from maskjax.data.normaliser import Normaliser
from maskjax.data.pipeline import Collate, Loader
from maskjax.data.ranges import ValueRange, check_scales
from maskjax.data.settings import Config, Settings
from maskjax.data.shapes import shape_of
from maskjax.data.sources import (
    Source,
    Splits,
    hold_out,
    open_splits,
    some_indices,
    take,
)  # fmt: skip
from maskjax.data.statistics import statistics
from maskjax.data.transforms import Transform
from maskjax.typing import Batch, Float


@dataclasses.dataclass(frozen=True)
class Data(Normaliser):
    """A data set, ready to be read in batches.

    Attributes:
        num_classes: None without labels.
        num_train: number of training examples.
        num_eval: number of evaluation examples, 0 where none are set apart.
        class_names: in label order, where classes have names.
    """

    num_classes: int | None
    num_train: int
    num_eval: int
    class_names: tuple[str, ...] | None
    _train: Loader
    _eval: Loader | None
    _seed: int
    _batch_size: int
    _num_workers: int
    _process_index: int
    _process_count: int

    @property
    def in_words(self) -> str:
        """How many examples there are, of which shape and how many classes."""
        kind = "images" if len(self.shape) == 3 else "examples"
        evaluated = f" and {self.num_eval} evaluation" if self.num_eval else ""
        classes = f", {self.num_classes} classes" if self.num_classes else ", no labels"
        sides = "x".join(map(str, self.shape))
        return f"{self.num_train} training{evaluated} {kind} of {sides}{classes}"

    @property
    def num_skipped(self) -> int:
        """Files left out for their headers, or that this process could not decode and skipped."""
        return len(self._train.skipped)

    def describe(self) -> dict[str, Any]:
        """Say what the data is, not where, in values that JSON knows.

        Returns:
            "num_train", "num_eval", "shape", "num_classes", "class_names"; "fingerprints" of the
            two splits' sources, equal for equal examples at another place; "value_range", the
            stored numbers that stand for 0 and 1, or None where the dtype tells; "mean" and "std"
            of each channel, in [0, 1].
        """
        return dict(self._description)

    @functools.cached_property
    def _description(self) -> dict[str, Any]:
        splits = {"train": self._train.source, "eval": self._eval and self._eval.source}
        return {
            "num_train": self.num_train,
            "num_eval": self.num_eval,
            "shape": list(self.shape),
            "num_classes": self.num_classes,
            "class_names": self.class_names and list(self.class_names),
            "fingerprints": {name: x and x.fingerprint() for name, x in splits.items()},
            "value_range": _as_json(self._train.source.value_range),
            "mean": self.mean.reshape(-1).tolist(),
            "std": self.std.reshape(-1).tolist(),
        }

    def train_batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Iterate without end over this process's part of the shuffled, augmented batches.

        Args:
            start_step: number of the first batch; batch t is a function of (seed, t), and the
                batches before it are not read.

        Returns:
            An iterator of {"inputs": float32 [B, *shape], normalised; "label": int32 [B] where
            there are labels; "id": int32 [B], the example's index in its split, in whatever order
            it comes; "epoch": int32 [B], how often the split was gone through before; "is_valid":
            bool [B], all True; with `data.missing` "is_known": bool [B, *shape], False where an
            example has no number and "inputs" is 0}. Its `close()` ends worker processes.
        """
        return pipeline.train_batches(
            self._train,
            self._collate(self._train.source),
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
            split: "train" or "eval".
            batch_size: of all processes together; the last batch is padded to it.
            limit: use only a fixed random subset of so many examples.

        Returns:
            A finite iterator like that of `train_batches`, of epoch 0; "is_valid" is False where
            an example could not be decoded, or is padding, whose "id" is -1. It is empty where
            there are no evaluation examples.

        Raises:
            ValueError: for another split, or a batch size that the processes do not divide.
        """
        if split not in ("train", "eval"):
            raise ValueError(f"split={split!r} must be 'train' or 'eval'")
        _check_batch_size(batch_size, self._process_count)
        loader = self._train if split == "train" else self._eval
        if loader is None:
            return iter(())
        total = len(loader.source)
        return pipeline.eval_batches(
            loader,
            self._collate(loader.source),
            some_indices(total, limit or total),
            batch_size=batch_size,
            process_index=self._process_index,
            process_count=self._process_count,
        )

    def examples(self, split: str, count: int) -> Float[np.ndarray, "N *shape"]:
        """Read the first examples of a split, the same in every process.

        Args:
            split: "train" or "eval".
            count: how many, at least 1; a smaller split gives all it has that can be decoded.

        Returns:
            float32, normalised, without augmentation; NaN where an example has no number.
        """
        alone = dataclasses.replace(self, _process_index=0, _process_count=1)
        found = np.zeros((0, *self.shape), np.float32)
        for batch in alone.eval_batches(split, count):
            inputs = np.where(batch.get("is_known", True), batch["inputs"], np.float32(np.nan))
            found = np.concatenate([found, inputs[batch["is_valid"]]])[:count]
            if len(found) == count:
                break
        return found

    def _collate(self, source: Source) -> Collate:
        return Collate(
            self.mean.reshape(-1),
            self.std.reshape(-1),
            source.num_classes is not None,
            marks_known=self.missing is not None,
        )


def build(
    config: Config,
    *,
    seed: int,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Data:
    """Open a data set and check all that can be checked before training.

    Args:
        config: `config.data`; its keys are the attributes of `Settings`.
        seed: decides the order and the augmentation of training examples, not which ones are held
            out.
        batch_size: of the training batches, over all processes.
        process_index: which contiguous part of each batch this process gets.
        process_count: number of processes; it changes no global batch.

    Returns:
        The data set.

    Raises:
        ValueError: for settings that are wrong or do not fit the data, and for unusable data.
        FileNotFoundError: where files are missing.

    Example:
        >>> digits = build({"source": "digits"}, seed=0, batch_size=64)
        >>> digits.shape, digits.num_classes, digits.num_train, digits.num_eval
        ((8, 8, 1), 10, 1617, 180)
        >>> next(digits.train_batches(start_step=1000))["inputs"].shape
        (64, 8, 8, 1)
    """
    settings = Settings.from_config(config)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed} must be at least 0 and below 2**32")
    _check_batch_size(batch_size, process_count)
    splits = _open(settings, batch_size)
    shape = shape_of(splits, settings)
    plain, augmented = _loaders(splits, shape, settings)
    mean, std = statistics(plain, settings)
    return Data(
        shape=shape,
        num_classes=splits.train.num_classes,
        num_train=len(splits.train),
        num_eval=0 if splits.eval is None else len(splits.eval),
        mean=mean,
        std=std,
        missing=settings.missing_number,
        class_names=splits.train.class_names,
        _train=augmented,
        _eval=None if splits.eval is None else dataclasses.replace(plain, source=splits.eval),
        _seed=seed,
        _batch_size=batch_size,
        _num_workers=settings.num_workers,
        _process_index=process_index,
        _process_count=process_count,
    )


def _loaders(splits: Splits, shape: tuple[int, ...], settings: Settings) -> tuple[Loader, Loader]:
    """Read the training examples without augmentation, and with it."""
    transform = Transform(
        shape[:-1],
        settings.channels,
        value_range=splits.train.value_range,
        missing=settings.missing_number,
    )
    plain = Loader(splits.train, transform, shape, settings.bad_files, set(splits.skipped))
    random = dataclasses.replace(transform, crop_scale=settings.crop_scale, flip=settings.flip)
    return plain, dataclasses.replace(plain, transform=random)


def _as_json(value_range: ValueRange | None) -> list | None:
    """Turn a range into lists of Python's own numbers, which `longdouble` has none of."""
    ends = np.asarray(value_range)
    return (ends.astype(np.float64) if ends.dtype.kind == "f" else ends).tolist()


def _check_batch_size(batch_size: int, process_count: int):
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"batch size {batch_size} must be a positive multiple of the {process_count} processes"
        )


def _open(settings: Settings, batch_size: int) -> Splits:
    """Open the sources, keep as many training examples as wanted, and see that these fill a batch.

    The first epoch of fewer would have examples twice in a batch.
    """
    splits = _open_both(settings)
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


def _open_both(settings: Settings) -> Splits:
    """Open the training and evaluation sources and settle which examples are whose."""
    splits = open_splits(settings.source, settings)
    if not settings.eval_source:
        if splits.eval is not None:
            check_scales(splits.train.value_range, splits.eval.value_range)
            name = f"data source {settings.source!r}"
            return splits._replace(eval=match_classes(splits.train, splits.eval, name))
        held_out = hold_out(splits.train, settings.eval_fraction)
        return held_out._replace(skipped=splits.skipped)
    other = open_splits(settings.eval_source, settings)
    evaluation = other.train if other.eval is None else other.eval
    check_scales(splits.train.value_range, evaluation.value_range)
    evaluation = match_classes(
        splits.train, evaluation, f"data.eval_source {settings.eval_source!r}"
    )
    return Splits(splits.train, evaluation, splits.skipped | other.skipped)
