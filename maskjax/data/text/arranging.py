"""From the documents of each split to its rows, and whether the splits fit together."""

from collections.abc import Mapping

import numpy as np
from absl import logging

from maskjax.data.sources import Source, Splits
from maskjax.data.text.packing import join, one_a_row, pack, pieces_of
from maskjax.data.text.settings import TextSettings
from maskjax.data.text.sources import Documents, Rows
from maskjax.data.text.subwords import Tokenizer
from maskjax.data.text.units import Learner
from maskjax.typing import Int


def arrange(splits: Splits, settings: TextSettings) -> Splits:
    """Make rows of the documents of each split; see `Modality`.

    Raises:
        ValueError: splits of different tokenizers, of pairs and single texts, with labels or tags
            that no training text has, or without any token.
    """
    sources = {"train": splits.train, **splits.set_apart()}
    train = _documents(splits.train)
    for name, source in sources.items():
        _check_alike(name, _documents(source), train)
    if not settings.limit:
        _check_labels(sources)
    _check_tags(sources, is_limited=settings.limit > 0)
    _number_kinds(sources)
    if settings.units:
        _find_units(sources, settings)
    if settings.layout != "whole":
        rows = {name: rows_of(source, settings, name) for name, source in sources.items()}
        splits = splits._replace(**rows)
    else:
        for name, source in sources.items():
            _warn_of_long(name, source, settings)
    if settings.buckets:
        splits.train.groups = _buckets_of(splits.train, settings)
    return splits


def _buckets_of(train: Source, settings: TextSettings) -> Int[np.ndarray, "N"]:
    """The length that each row has in training batches."""
    if isinstance(train, Rows):
        sizes = train.plan.sizes + _framing(train.tokenizer, has_pairs=False)
    else:
        sizes = _sizes(train)
    lengths = np.array([*settings.buckets, settings.max_length])
    return lengths[np.searchsorted(lengths, np.minimum(sizes, settings.max_length))]


def _framing(tokenizer: Tokenizer, *, has_pairs: bool) -> int:
    """Tokens that stand around a text, or around and between two."""
    frame = tokenizer.frame
    return len(frame.before) + len(frame.after) + (len(frame.between) if has_pairs else 0)


def _sizes(source: Source) -> Int[np.ndarray, "N"]:
    """Tokens of whole texts, with what frames them."""
    documents, numbers = _documents(source), source.base()[1]
    offsets, has_pairs = documents.index.offsets, documents.index.seconds is not None
    framing = _framing(documents.tokenizer, has_pairs=has_pairs)
    return offsets[numbers + 1] - offsets[numbers] + framing


def rows_of(source: Source, settings: TextSettings, split: str = "train") -> Rows:
    """Make rows of the documents of a split, as `data.layout` says."""
    documents, numbers = _documents(source), source.base()[1]
    index, frame = documents.index, documents.tokenizer.frame
    begins, ends = index.offsets[numbers], index.offsets[numbers + 1]
    framing = _framing(documents.tokenizer, has_pairs=False)
    room = settings.max_length - framing
    if not (ends > begins).any():
        raise ValueError(f"the {split} split of data source {settings.source!r} has no tokens")
    if settings.layout == "joined":
        return Rows(documents, join(begins, ends, room, len(frame.after)))
    pieces = pieces_of(begins, ends, index.is_start, room)
    if settings.layout == "padded":
        return Rows(documents, one_a_row(*pieces))
    return Rows(documents, pack(*pieces, settings.max_length, framing))


def _documents(source: Source) -> Documents:
    found = source.base()[0]
    assert isinstance(found, Documents)
    return found


def _check_alike(name: str, found: Documents, train: Documents) -> None:
    """Refuse a split that another tokenizer took apart, or that is of another kind."""
    if found.tokenizer != train.tokenizer:
        raise ValueError(
            f"the {name} and training texts have tokenizers that were trained apart: make one,"
            " `python launch/tokenize.py --input=TEXTS --output=FILE.json`, and set data.tokenizer"
            " to that file"
        )
    if (found.index.seconds is None) != (train.index.seconds is None):
        raise ValueError(f"of the {name} and training texts some are pairs and some are not")
    if (found.index.tags is None) != (train.index.tags is None):
        raise ValueError(f"of the {name} and training texts some have tags and some have none")


def _check_labels(sources: Mapping[str, Source]) -> None:
    """Refuse classes that no training text has."""
    seen = sources["train"].labels()
    for name, source in sources.items():
        labels = source.labels()
        if seen is None or labels is None:
            continue
        is_new = ~np.isin(labels, seen)
        if is_new.any():
            at, names = int(is_new.argmax()), sources["train"].class_names
            label = names[labels[at]] if names else labels[at]
            raise ValueError(
                f"{_place(source, at)} has the label {label!r} and is in the {name} split; no"
                " training text has it: give it more texts, or leave it out"
            )


def _check_tags(sources: Mapping[str, Source], *, is_limited: bool) -> None:
    """Give all splits the tags of the training texts, and refuse others."""
    train = _documents(sources["train"])
    if train.index.tags is None:
        return
    names = train.index.tag_names
    seen = {names[i] for tags in _tags(sources["train"]) for i in np.unique(tags[tags >= 0])}
    if is_limited:  # then the others' file may have what the few texts lack
        seen = {*names}
    for name, source in sources.items():
        found = _documents(source)
        own = found.index.tag_names
        for at, tags in enumerate(_tags(source)):
            new = [own[i] for i in np.unique(tags[tags >= 0]) if own[i] not in seen]
            if new:
                raise ValueError(
                    f"{_place(source, at)} has the tag {new[0]!r} and is in the {name} split; no"
                    " training text has it: give it more texts, or leave it out"
                )
        found.tag_numbers = np.array([names.index(tag) if tag in names else -1 for tag in own])


def _number_kinds(sources: Mapping[str, Source]) -> None:
    """Give all splits the kinds of the training texts; words of others are of none."""
    names = _documents(sources["train"]).index.kind_names
    for found in map(_documents, sources.values()):
        own = found.index.kind_names
        found.kind_numbers = np.array([names.index(kind) if kind in names else -1 for kind in own])


def _find_units(sources: Mapping[str, Source], settings: TextSettings) -> None:
    """Let the collocations of the training texts be units of all splits."""
    train = _documents(sources["train"])
    learner = Learner(train.index, sources["train"].base()[1], train.tokenizer, settings)
    for found in map(_documents, sources.values()):
        found.units = learner.units_of(found.index)


def _tags(source: Source) -> list[np.ndarray]:
    index, numbers = _documents(source).index, source.base()[1]
    assert index.tags is not None
    return [index.tags[index.offsets[i] : index.offsets[i + 1]] for i in numbers]


def _place(source: Source, at: int) -> str:
    documents, number = _documents(source), int(source.base()[1][at])
    return documents.index.place(number)


def _warn_of_long(name: str, source: Source, settings: TextSettings) -> None:
    """Say how many texts are cut off."""
    sizes = _sizes(source)
    count = int((sizes > settings.max_length).sum())
    if count:
        logging.warning(
            "%d of %d %s texts are longer than data.max_length=%d and cut off; the longest has %d"
            " tokens", count, len(sizes), name, settings.max_length, int(sizes.max()),
        )  # fmt: skip
