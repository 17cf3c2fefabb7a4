"""Corpora: streams of documents from text files, tables, JSON lines and tagged words."""

import csv
import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from maskjax.data.sources import digest
from maskjax.data.text.files import MAX_BYTES, Text, lines, prints, refuse_halves
from maskjax.data.text.settings import TextSettings

SUFFIXES = (".txt", ".text", ".md", ".rst")
_TAG = re.compile(r"O|[BI]-\S+")
_NEW_FILE = "-DOCSTART-"


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Documents in a fixed order, read anew each time.

    Attributes:
        name: for messages.
        read: gives them.
        identity: a hash by which other documents are noticed, or another way to read them.
        files: that the places of documents count.
    """

    name: str
    read: Callable[[], Iterator[Text]]
    identity: str
    files: tuple[str, ...] = ()


def corpus_of_files(
    name: str,
    paths: Sequence[Path],
    read: Callable[[Path, TextSettings], Iterator[Text]],
    settings: TextSettings,
    keys: Sequence[str],
) -> Corpus:
    """Make a corpus of files.

    Args:
        name: for messages.
        paths: in order.
        read: gives the documents of one; their place's file is 0.
        settings: of which `keys` tell how the files are read.
        keys: names of settings.
    """

    def all_of_them() -> Iterator[Text]:
        for number, path in enumerate(paths):
            for text in read(path, settings):
                yield text._replace(place=(number, text.place[1]))

    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"data source {name!r}: there is no file {path}")
    how = [getattr(settings, key) for key in keys]
    identity = digest(read.__name__, *how, *(part for path in paths for part in prints(path)))
    return Corpus(name, all_of_them, identity, tuple(map(str, paths)))


def text_files(folder: Path, name: str) -> list[Path]:
    """Return the text files of a folder and of those in it, sorted; others are counted."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder)
    )
    found = [path for path in files if _suffix(path) in SUFFIXES]
    filled = [path for path in found if path.stat().st_size]
    if not filled:
        raise ValueError(
            f"data source {name!r}: no file below {folder} that is not empty ends in"
            f" {', '.join(SUFFIXES)}, or one of them and .gz"
        )
    if len(filled) < len(files):
        others, empty = len(files) - len(found), len(found) - len(filled)
        logging.warning("%s: %d other and %d empty files are left out", name, others, empty)
    return filled


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def read_documents(path: Path, settings: TextSettings) -> Iterator[Text]:
    """Read the documents of a text file, which end as `data.document` says."""
    gathered: list[str] = []
    first, size = 1, 0
    for number, line in lines(path):
        is_end = settings.document == "blank_line" and not line.strip()
        if is_end and gathered:
            yield Text("".join(gathered).strip(), (0, first))
            gathered, size = [], 0
        if settings.document != "file" and not line.strip():
            continue
        if settings.document == "line":
            yield Text(line.strip(), (0, number))
            continue
        if not gathered:
            first = number
        gathered.append(line.rstrip("\r\n") + "\n")
        size += len(line)
        if size > MAX_BYTES:
            raise ValueError(
                f"the document at line {first} of {path} is longer than {MAX_BYTES} characters:"
                " set data.document='line', or put empty lines between documents"
            )
    if gathered:
        yield Text("".join(gathered).strip(), (0, first))


def read_table(path: Path, settings: TextSettings) -> Iterator[Text]:
    """Read a table with a header, one text or pair of texts a row; a .tsv file has tabs."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_BYTES))
    is_tabbed = _suffix(path) == ".tsv"
    # Strict: a quotation mark that is never closed would take all rows behind it into its field.
    options: dict[str, Any] = {"delimiter": "\t" if is_tabbed else ",", "strict": True}
    rows = csv.reader((line for _, line in lines(path)), **options)
    end = 0
    try:
        header = next(rows, [])
        columns = _columns(header, settings, path)
        end = rows.line_num
        for row in rows:
            line, end = end + 1, rows.line_num
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"line {line} of {path} has {len(row)} columns, the header {len(header)}:"
                    " give all rows the same; what holds a comma stands in quotes"
                )
            found = {name: row[column] for name, column in columns.items()}
            yield _row(found, f"line {line} of {path}", line)
    except csv.Error as error:
        where = f"line {end + 1} of {path}"
        if "new-line" in str(error):
            raise ValueError(f"{where} has a carriage return within: make it a new line") from None
        raise ValueError(
            f"{where} cannot be read ({error}): a field that begins with a quotation mark ends with"
            " one, and those within it are doubled"
        ) from None


def _columns(header: list[str], settings: TextSettings, path: Path) -> dict[str, int]:
    names = [name.strip() for name in header]
    columns = {}
    for key in ("text", "pair", "label"):
        name = getattr(settings, f"{key}_column")
        if name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"data.{key}_column={name!r} is the name of {names.count(name)} columns of"
                    f" {path}: give each its own"
                )
            columns[key] = names.index(name)
        elif name:
            raise ValueError(
                f"data.{key}_column={name!r} is no column of {path}: it has {', '.join(names)}"
            )
    return columns


def _row(found: dict[str, str], where: str, line: int) -> Text:
    label = found.get("label")
    if label is not None and not label.strip():
        raise ValueError(f"{where} has no label: leave it out, or give it a class of its own")
    return Text(found["text"].strip(), (0, line), found.get("pair"), label and label.strip())


def read_json_lines(path: Path, settings: TextSettings) -> Iterator[Text]:
    """Read a file with a JSON object a line, of which each has a text."""
    keys = {key: getattr(settings, f"{key}_column") for key in ("text", "pair", "label")}
    keys = {key: name for key, name in keys.items() if name}
    for number, line in lines(path):
        if not line.strip():
            continue
        where = f"line {number} of {path}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is no JSON ({error}): mend or remove it") from None
        yield _row(
            {key: _value(record, key, name, where) for key, name in keys.items()}, where, number
        )


def _value(record: Any, key: str, name: str, where: str) -> str:
    """The value of a name, which is a text, or as a label also a number or a truth value."""
    if not isinstance(record, dict):
        raise ValueError(f'{where} is no object: write {{"{name}": "the text"}}')
    if name not in record:
        raise ValueError(
            f"{where} has no {name!r}, only {', '.join(map(repr, record)) or 'nothing'}: set"
            f" data.{key}_column, or leave the line out"
        )
    value = record[name]
    if isinstance(value, str):
        refuse_halves(value, f"{where}: {name!r}")
        return value
    if key == "label" and isinstance(value, int):
        return str(value)
    wish = "a text, a whole number or a truth value" if key == "label" else "a text"
    raise ValueError(f"{where}: {name!r} is {json.dumps(value)[:40]}, which must be {wish}")


def read_tagged(path: Path, settings: TextSettings) -> Iterator[Text]:
    """Read a CoNLL file: a word a line, its BIO tag in the last column, blank lines between.

    Where `data.kind_column` is the last one, words have a kind and no tag.
    """
    words: list[list[str]] = []
    kind = settings.kind_column
    first, width = 1, 0
    for number, line in lines(path):
        columns = line.split()
        if columns and columns[0] != _NEW_FILE:
            where = f"line {number} of {path}"
            width = width or len(columns)
            if len(columns) != width or width < 2:
                raise ValueError(
                    f"{where} has {len(columns)} columns, others {width}: give each line a word"
                    " and behind it a tag, and as many columns"
                )
            if kind > width:
                raise ValueError(
                    f"data.kind_column={kind}: {where} has {width} columns; set it to one of them"
                )
            if kind != width and not _TAG.fullmatch(columns[-1]):
                raise ValueError(
                    f"{where} has the tag {columns[-1]!r}: it must be O, B-... or I-..."
                )
            first = first if words else number
            words.append(columns)
        elif words:
            yield tagged(words, first, kind)
            words = []
    if words:
        yield tagged(words, first, kind)


def tagged(words: Sequence[Sequence[str]], line: int, kind: int = 0) -> Text:
    """Join words, each the first of some columns, by spaces.

    Args:
        words: with their columns; the last holds tags, unless it holds kinds.
        line: where the first stands.
        kind: column of kinds, from 1; 0 is none.
    """
    sizes = [len(columns[0]) + 1 for columns in words]
    begins = itertools.accumulate([0, *sizes])
    spans = [(begin, begin + size - 1) for begin, size in zip(begins, sizes)]

    def of_words(column: int) -> tuple[tuple[int, int, str], ...]:
        return tuple((*span, columns[column]) for span, columns in zip(spans, words))

    return Text(
        " ".join(columns[0] for columns in words),
        (0, line),
        tags=None if kind == len(words[0]) else of_words(-1),
        kinds=of_words(kind - 1) if kind else None,
    )
