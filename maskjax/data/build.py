"""From `config.data` to `Data`: what the rest of maskjax sees of a data set.

    source (sources.py)  ->  record  ->  processor (MODALITY/)  ->  example  ->  batch (pipeline.py)

The source's name tells the modality, which brings its own settings and its own processor; nothing
here knows what a record holds.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from maskjax.data import training_set
from maskjax.data.dataset import Data, Described, check_batch_size
from maskjax.data.held_out import held_shares, hold_out
from maskjax.data.labels import match_classes
from maskjax.data.pipeline import Loader
from maskjax.data.processor import Example, Processor
from maskjax.data.progress import shown
from maskjax.data.settings import Config, Settings
from maskjax.data.sources import (
    Sample,
    Source,
    Splits,
    modality_of,
    open_splits,
    take,
)  # fmt: skip


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
        seed: decides the order and the augmentation of training examples, which ones are left out
            or labelled wrong where that is asked for, and not which ones are held out.
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
        >>> digits.num_train, digits.num_validation, digits.num_test, digits.num_classes
        (1438, 179, 180, 10)
        >>> next(digits.train_batches(start_step=1000))["inputs"].shape
        (64, 8, 8, 1)
    """
    settings = settings_of(config)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed} must be at least 0 and below 2**32")
    check_batch_size(batch_size, process_count)
    splits = _open(settings, batch_size, seed)
    skipped = set(splits.skipped)
    sources = {"train": splits.train, **splits.set_apart()}
    processor = _processor(splits, settings, _sampler(sources, settings, skipped), is_compact)
    num_targets = _num_targets(sources)
    loader = functools.partial(Loader, num_targets=num_targets, skipped=skipped)
    return Data(
        processor=processor,
        num_targets=num_targets,
        num_classes=splits.train.num_classes,
        class_names=splits.train.class_names,
        num_train=len(splits.train),
        num_validation=len(sources.get("validation", ())),
        num_test=len(sources.get("test", ())),
        _loaders={
            name: loader(source, processor, settings.bad_files) for name, source in sources.items()
        },
        _seed=seed,
        _batch_size=batch_size,
        _num_workers=settings.num_workers,
        _process_index=process_index,
        _process_count=process_count,
    )


def _processor(splits: Splits, settings: Settings, sample: Sample, is_compact: bool) -> Processor:
    """Make the modality's processor."""
    modality = modality_of(settings.source)
    processor = modality.prepare(splits, settings, sample)
    if is_compact and modality.compact is not None:
        return modality.compact(processor, splits, settings, sample)
    return processor


def _sampler(sources: Mapping[str, Source], settings: Settings, skipped: set[str]) -> Sample:
    """Make what gives some examples of a split, without those that cannot be decoded."""

    def sample(processor: Processor, count: int, split: str = "train") -> Iterator[Example]:
        if split not in sources:
            return
        some = take(sources[split], count)
        loader = Loader(some, processor, settings.bad_files, skipped=skipped)
        for index in shown(range(len(some)), "reading a sample", "example", len(some)):
            row = loader.evaluate(index)
            if row.is_valid:
                yield row.example

    return sample


def _num_targets(sources: Mapping[str, Source]) -> int:
    """Count the numbers that stand beside each example; the first of each split tells."""
    firsts = {name: source[0] for name, source in sources.items()}
    counts = {
        name: int(np.size(first["targets"])) if "targets" in first else 0
        for name, first in firsts.items()
        if isinstance(first, Mapping)
    }
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"the splits have different numbers of targets an example, {counts}: give all the same"
        )
    return counts.get("train", 0)


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
        num_targets=description.get("num_targets", 0),
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


def _open(settings: Settings, batch_size: int, seed: int) -> Splits:
    """Open the sources, keep what is wanted to train on, and see that it fills a batch.

    The first epoch of fewer would have examples twice in a batch.
    """
    splits = _open_all(settings)
    found = len(splits.train)
    splits = splits._replace(train=training_set.chosen(splits.train, settings, seed))
    is_narrowed = len(splits.train) < found
    arrange = modality_of(settings.source).arrange
    if arrange is not None:
        splits = arrange(splits, settings)
        found = found if is_narrowed else len(splits.train)
    _check_groups(splits.train, batch_size)
    if len(splits.train) < batch_size:
        defaults = ("limit", 0), ("train_fraction", 1), ("imbalance", 1)
        narrowing = [name for name, off in defaults if getattr(settings, name) != off]
        named = " and ".join(f"data.{name}={getattr(settings, name)}" for name in narrowing)
        kept = f" and {named} keeps fewer" if is_narrowed else ", fewer"
        advice = " or keep more" if is_narrowed else ""
        raise ValueError(
            f"data source {settings.source!r} has {found} training examples{kept} than"
            f" batch_size={batch_size}; lower batch_size{advice}"
        )
    return splits


def _check_groups(train: Source, batch_size: int) -> None:
    """Refuse groups that do not fill a batch."""
    if train.groups is None:
        return
    for group, count in zip(*np.unique(train.groups, return_counts=True)):
        if count < batch_size <= len(train):
            raise ValueError(
                f"only {count} training examples are of up to {group} tokens and of no shorter"
                f" bucket, fewer than batch_size={batch_size}: lower it, or leave such a length out"
                " of data.buckets"
            )


def _open_all(settings: Settings) -> Splits:
    """Open all sources and settle which examples are whose, and the numbers of their classes."""
    splits = open_splits(settings.source, settings)
    for name in ("validation", "test"):
        if place := getattr(settings, f"{name}_source"):
            source, skipped = _open_other(name, place, settings)
            splits = splits._replace(**{name: source}, skipped=splits.skipped | skipped)
    held_out = hold_out(splits.train, *held_shares(settings, splits.set_apart()))
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
