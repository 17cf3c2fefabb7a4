"""Sources of texts: `text:PATH`, `jsonl:FILE`, `csv:FILE`, `conll:FILE` and `prose`."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.data.sources import (
    SOURCES,
    Source,
    Splits,
    digest,
    refuse_argument,
    register,
)
from maskjax.data.text.corpora import (
    SUFFIXES,
    Corpus,
    corpus_of_files,
    read_documents,
    read_json_lines,
    read_table,
    read_tagged,
    text_files,
)
from maskjax.data.text.docstrings import docstrings as docstrings_corpus
from maskjax.data.text.files import Text
from maskjax.data.text.index import Index, open_index
from maskjax.data.text.names import names as names_corpus
from maskjax.data.text.packing import Plan
from maskjax.data.text.prose import prose as prose_corpus
from maskjax.data.text.settings import TextSettings
from maskjax.data.text.subwords import Tokenizer
from maskjax.data.text.training import learned_from, open_tokenizer
from maskjax.data.text.units import Units
from maskjax.data.tfds_folder import OTHER_SPLITS
from maskjax.paths import local_path
from maskjax.typing import Int

# By name: what makes the corpora of other sources, by the names of their splits.
CORPORA: dict[str, Callable[[str, TextSettings], dict[str, Corpus]]] = {}


class Documents(Source):
    """Whole texts: {"pieces": ((tokens, is_start),)}, two of them of a pair; "label", "tags".

    Args:
        index: of all texts.
        tokenizer: that it was made with.
    """

    in_memory = True

    def __init__(self, index: Index, tokenizer: Tokenizer):
        self.index, self.tokenizer = index, tokenizer
        self.class_names = index.class_names
        self.num_classes = len(index.class_names) if index.class_names else None
        # Of this index's tags and kinds among those of the training texts.
        self.tag_numbers: np.ndarray | None = None
        self.kind_numbers: np.ndarray | None = None
        self.units: Index | Units = index  # says where what is hidden as a whole begins

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        held = self.index
        begin, end = held.offsets[index : index + 2].tolist()
        cuts = [begin, end]
        if held.seconds is not None:
            cuts.insert(1, begin + int(held.seconds[index]))
        record: dict[str, Any] = {
            "pieces": tuple(
                (held.tokens[a:b], self.units.is_start[a:b]) for a, b in itertools.pairwise(cuts)
            )
        }
        if held.labels is not None:
            record["label"] = int(held.labels[index])
        if held.tags is not None:
            record["tags"] = _renumbered(held.tags[begin:end], self.tag_numbers)
        if held.kinds is not None:
            record["kinds"] = _renumbered(held.kinds[begin:end], self.kind_numbers)
        return record

    def labels(self) -> Int[np.ndarray, "N"] | None:
        return self.index.labels

    def fingerprint(self) -> str:
        return digest(self.index.key)


def _renumbered(
    numbers: Int[np.ndarray, "n"], new: Int[np.ndarray, "_"] | None
) -> Int[np.ndarray, "n"]:
    return numbers if new is None else np.where(numbers < 0, numbers, new[numbers])


class Rows(Source):
    """Rows of pieces of documents: {"pieces": ((tokens, is_start), ...)}.

    Args:
        documents: what the pieces are of.
        plan: which pieces stand in which row.
    """

    in_memory = True

    def __init__(self, documents: Documents, plan: Plan):
        self.index, self.tokenizer, self.plan = documents.index, documents.tokenizer, plan
        self.units = documents.units

    def __len__(self) -> int:
        return len(self.plan.rows) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        plan, held = self.plan, self.index
        first, last = plan.rows[index : index + 2].tolist()
        begins, sizes = plan.begins[first:last].tolist(), plan.sizes[first:last].tolist()
        pieces = (
            (held.tokens[at : at + size], self.units.is_start[at : at + size])
            for at, size in zip(begins, sizes)
        )
        return {"pieces": tuple(pieces)}

    def fingerprint(self) -> str:
        return digest(self.index.key, *self.plan)


def splits_of(corpora: dict[str, Corpus], settings: TextSettings) -> Splits:
    """Open the index of each split's corpus, all with one tokenizer."""
    tokenizer = open_tokenizer(settings, learned_from(corpora, settings))
    found = {
        split: Documents(open_index(corpus, tokenizer, settings.index), tokenizer)
        for split, corpus in corpora.items()
    }
    return Splits(found["train"], found.get("validation"), found.get("test"))


@register("prose", modality="text")
def prose(argument: str, settings: TextSettings) -> Splits:
    """Python's own documentation: real English that is on every machine."""
    refuse_argument("prose", argument)
    return splits_of({"train": prose_corpus()}, settings)


@register("docstrings", modality="text")
def docstrings(argument: str, settings: TextSettings) -> Splits:
    """Python's own docstrings, each with its module as its class: labelled texts anywhere."""
    refuse_argument("docstrings", argument)
    _refuse_columns("docstrings", settings)
    _need_whole(settings, "labels")
    return splits_of({"train": docstrings_corpus()}, settings)


@register("names", modality="text")
def names(argument: str, settings: TextSettings) -> Splits:
    """Python's own source, each name with what it is: tagged words anywhere."""
    refuse_argument("names", argument)
    _refuse_columns("names", settings)
    _need_whole(settings, "tags")
    return splits_of({"train": names_corpus()}, settings)


@register("text", modality="text")
def text(argument: str, settings: TextSettings) -> Splits:
    """Read `text:PATH`, a file or all text files of a folder, gzipped or not.

    Validation are val/ or validation.txt and the like in the folder, test test/ or test.txt, where
    there is train/ or train.txt beside them.
    """
    _refuse_columns("text", settings)
    return splits_of(text_corpora(argument, settings), settings)


def text_corpora(argument: str, settings: TextSettings) -> dict[str, Corpus]:
    """Make the corpora of `text:PATH` by the names of their splits."""
    path, name = _path("text", argument, "PATH"), f"text:{argument}"

    def corpus(paths: list[Path]) -> Corpus:
        return corpus_of_files(name, paths, read_documents, settings, ["document"])

    if not path.is_dir():
        return {"train": corpus([path])}
    found = {}
    for split, names in {"train": ("train",), **OTHER_SPLITS}.items():
        for each in names:
            if (path / each).is_dir():
                found.setdefault(split, text_files(path / each, name))
            files = [path / f"{each}{suffix}{end}" for suffix in SUFFIXES for end in ("", ".gz")]
            if here := [file for file in files if file.is_file()]:
                found.setdefault(split, here[:1])
    found = found if "train" in found else {"train": text_files(path, name)}
    return {split: corpus(paths) for split, paths in found.items()}


@register("jsonl", modality="text")
def jsonl(argument: str, settings: TextSettings) -> Splits:
    """Read `jsonl:FILE`, an object with a text a line."""
    return splits_of({"train": _of_file("jsonl", argument, read_json_lines, settings)}, settings)


@register("csv", modality="text")
def csv(argument: str, settings: TextSettings) -> Splits:
    """Read `csv:FILE`, a table with a header, a text or a pair a row; .tsv has tabs."""
    return splits_of({"train": _of_file("csv", argument, read_table, settings)}, settings)


@register("conll", modality="text")
def conll(argument: str, settings: TextSettings) -> Splits:
    """Read `conll:FILE`, a word and its BIO tag a line, empty lines between texts."""
    _refuse_columns("conll", settings)
    _need_whole(settings, "tags")
    return splits_of({"train": _of_conll(argument, settings)}, settings)


def _need_whole(settings: TextSettings, what: str) -> None:
    if settings.layout != "whole":
        raise ValueError(
            f"data.layout={settings.layout!r} cuts texts in pieces, and {what} are of whole ones:"
            " set it to 'whole'"
        )


_COLUMNS = ("text_column", "pair_column", "label_column")


def _of_conll(argument: str, settings: TextSettings) -> Corpus:
    keys = (*_COLUMNS, "kind_column") if settings.kind_column else _COLUMNS
    return _of_file("conll", argument, read_tagged, settings, keys)


def _of_file(
    kind: str,
    argument: str,
    read: Callable[[Path, TextSettings], Iterator[Text]],
    settings: TextSettings,
    keys: Sequence[str] = _COLUMNS,
) -> Corpus:
    path = _path(kind, argument, "FILE")
    return corpus_of_files(f"{kind}:{argument}", [path], read, settings, keys)


def _path(kind: str, argument: str, what: str) -> Path:
    if not argument:
        raise ValueError(f"data source {kind!r}: give its path, as in {kind}:{what}")
    return local_path(argument, "data.source")


def _refuse_columns(kind: str, settings: TextSettings) -> None:
    for name in _COLUMNS:
        default = TextSettings.__dataclass_fields__[name].default
        if getattr(settings, name) != default:
            raise ValueError(
                f"data.{name}={getattr(settings, name)!r} says nothing of {kind}:, which has no"
                f" columns with names: leave it at {default!r}"
            )


def corpus_named(source: str, settings: TextSettings) -> Corpus:
    """Make the training corpus of a source, without an index.

    Args:
        source: `NAME:ARGUMENT`; a path alone is that of text files.
        settings: how it is read.

    Raises:
        ValueError: it cannot be read.
        FileNotFoundError: there is no such file.
    """
    kind, _, argument = source.partition(":")
    readers = {"jsonl": read_json_lines, "csv": read_table, "conll": read_tagged}
    if kind in readers:
        return _of_file(kind, argument, readers[kind], settings)
    embedded = {"prose": prose_corpus, "docstrings": docstrings_corpus, "names": names_corpus}
    if source in embedded:
        return embedded[source]()
    if kind in CORPORA:
        return CORPORA[kind](argument, settings)["train"]
    if kind in SOURCES and kind != "text" and not local_path(source, "the path").exists():
        known = ("text:PATH", *(f"{each}:FILE" for each in readers), *CORPORA, *embedded)
        raise ValueError(f"{source!r} is no source of texts: take one of {', '.join(known)}")
    return text_corpora(argument if kind == "text" else source, settings)["train"]
