"""What a run makes of inputs of one's own: pictures, words or features, whatever its task shows."""

import csv
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from maskjax import evaluation
from maskjax import workdir as layout
from maskjax.data import Example, UndecodableError
from maskjax.data.progress import shown
from maskjax.evaluation.panels import SpellingUnits
from maskjax.paths import atomic_file
from maskjax.spelling import did_you_mean
from maskjax.terminal import say
from maskjax.tools import words
from maskjax.tools.answers import Answers
from maskjax.tools.rows import CLASSES, SUFFIXES, write_rows
from maskjax.tools.saved import writable

PAGE = 16  # examples that are computed at a time, and rows of one picture
BATCH = 64  # the same, where numbers are written
MOST_SHOWN = 256
_PICTURES, _WORDS = (".png", ".pdf", ".svg"), (".txt", ".csv")
JSON = Path("-")  # standard output
# Output -> its panel.
_DRAWN = {"reconstructions": "reconstructions", CLASSES: "classified", "labels": "labelled"}


class _Page(NamedTuple):
    first: int  # place of its first input among all
    number: int  # from 0
    is_alone: bool
    labels: list[str]
    examples: list[Example]
    size: int  # of every page


def predict(
    answers: Answers,
    inputs: Sequence[str],
    *,
    what: str = "",
    output: Path | None = None,
    limit: int | None = None,
    bad_files: str = "",
) -> Iterator[str]:
    """Say what a model makes of inputs.

    Args:
        answers: the model: `open_run` or `open_export`.
        inputs: paths, or what else the model's processor reads.
        what: a panel that the task shows, as "reconstructions", or one of its outputs, as
            "features"; "" is its first panel. Where both have the name, the file's decides.
        output: a picture (.png, .pdf, .svg), words (.txt, .csv) or numbers (.npz, .csv), as fits;
            for pictures also a folder; `JSON` for a line of JSON an input. None is the run's folder
            for pictures and numbers, and no file for words.
        limit: read the first so many inputs, at least 1; None is 256 for pictures and words, and
            all for numbers.
        bad_files: "skip" leaves out files that cannot be decoded and names them, "error" refuses
            them; "" leaves them out of folders and refuses them elsewhere.

    Yields:
        A line for the user: words, or the path of a file once it is written.

    Raises:
        FileNotFoundError: no such input.
        ValueError: an input that cannot be read or does not fit the run, an unknown `what`, or a
            file that cannot be written or is of another kind.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"the limit of inputs is {limit}: it must be at least 1")
    if output is not None and output != JSON:
        is_folder = not output.suffix or output.is_dir()
        writable(output if is_folder else output.parent, "--output")
    if what in answers.outputs and _are_numbers(what, output, answers.processor):
        path = output or answers.folder / f"{what}.npz"
        if output != JSON:
            _check_suffix(path, what, SUFFIXES)
        pages = _pages(answers.processor, inputs, limit, BATCH, bad_files)
        rows = (
            (page.labels, answers.rows(what, page.examples, page.size, page.first))
            for page in pages
        )
        if output == JSON:
            yield from _as_json(what, rows, answers.class_names)
        else:
            yield write_rows(path, what, rows, answers.class_names)
    else:
        limit = limit or MOST_SHOWN
        pages = _pages(answers.processor, inputs, limit, PAGE, bad_files)
        yield from _show(answers, what, pages, output, limit)


def _are_numbers(what: str, output: Path | None, processor: Any) -> bool:
    """Whether an output is written as numbers, where it could also be drawn or said in words."""
    suffix = "" if output is None else output.suffix
    if what in _DRAWN and isinstance(processor, SpellingUnits):
        return suffix == ".npz" or (suffix == ".csv" and what == CLASSES)
    if what not in _DRAWN or suffix in SUFFIXES:
        return True
    return suffix not in _PICTURES and what != "reconstructions"


def _as_json(
    what: str, pages: Iterator[tuple[list[str], Any]], class_names: Sequence[str]
) -> Iterator[str]:
    """Write an output as a line of JSON an input."""
    for labels, rows in pages:
        if isinstance(rows, Mapping):
            raise ValueError(
                f"--output={JSON}: {what} are arrays of the inputs' shape: write them as .npz"
            )
        for label, row in zip(labels, rows, strict=True):
            said = (
                words.of_classes(row, class_names)[1] if what == CLASSES else {what: row.tolist()}
            )
            yield json.dumps({"input": label, **said}, ensure_ascii=False)


def _pages(
    processor: Any, inputs: Sequence[str], limit: int | None, most: int, bad_files: str
) -> Iterator[_Page]:
    """Read inputs, a page at a time, all of them to be padded to one size."""
    examples = shown(_examples(processor, inputs, bad_files), "predicting", "input")
    chosen = itertools.islice(examples, limit)
    read = list(itertools.islice(chosen, most))
    if not read:
        raise ValueError("none of these inputs can be read; give others as --input")
    size = len(read)
    for number in itertools.count():
        rest = list(itertools.islice(chosen, most))
        labels, found = (list(column) for column in zip(*read))
        yield _Page(number * most, number, number == 0 and not rest, labels, found, size)
        read = rest
        if not read:
            break
    if next(examples, None) is not None:
        say(f"these are the first {limit} inputs: a higher --limit takes more", sys.stderr)


def _examples(
    processor: Any, inputs: Sequence[str], bad_files: str
) -> Iterator[tuple[str, Example]]:
    strict = {"is_strict": True} if bad_files == "error" else {}
    for text in inputs:
        try:
            yield from processor.read(_located(text), **strict)
        except UndecodableError as error:
            if bad_files != "skip":
                raise
            logging.warning("left out: %s", error)


def _located(text: str) -> str:
    """A path as a shell would read it, or the text that is none."""
    path = os.path.expanduser(text)
    expanded = os.path.expandvars(path)
    return next((it for it in (text, path, expanded) if os.path.exists(it)), text)


def _show(
    answers: Answers, what: str, pages: Iterator[_Page], output: Path | None, limit: int
) -> Iterator[str]:
    """Draw a panel of each page, or say it in words."""
    written: list[Path] = []
    table: list[tuple[str, str, dict[str, Any]]] = []
    digits, is_named = len(str(-(-limit // PAGE))), False
    for page in pages:
        panels = answers.panels(page.examples, page.size, page.first)
        what = _panel(what or next(iter(panels), ""), answers, panels)
        panel = panels[what]
        can_say = words.can_say(panel, answers.processor)
        if can_say and (output in (None, JSON) or output.suffix in _WORDS):
            said = words.of_panel(panel, answers.processor)
            found = [(name, *each) for name, each in zip(page.labels, said, strict=True)]
            if output is None:
                yield from (f"{name}: {line}" for name, line, _ in found)
            elif output == JSON:
                for name, _, record in found:
                    yield json.dumps({"input": name, **record}, ensure_ascii=False)
            else:
                table += found
            continue
        path = output or answers.folder / layout.FIGURES
        is_named = bool(path.suffix) and not path.is_dir()
        path = path if is_named else path / f"own_{what}.png"
        _check_suffix(path, what, (*_PICTURES, *(_WORDS if can_say else ())))
        if not page.is_alone:
            path = path.with_stem(f"{path.stem}-{page.number + 1:0{digits}}")
        figure = evaluation.draw_panel(panel, answers.processor, labels=page.labels)
        evaluation.save_figure(figure, path)
        written.append(path)
        yield str(path)
    if table and output is not None:
        _write_words(output, table)
        yield str(output)
    if written and not is_named:
        _remove_others(written)


def _write_words(path: Path, table: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
    """Write a line an input, or as CSV a line for each thing that is said of it."""
    with atomic_file(path) as file:
        if path.suffix != ".csv":
            file.writelines(f"{name}: {line}\n" for name, line, _ in table)
            return
        writer = csv.writer(file)
        for number, (name, _, record) in enumerate(table):
            columns, rows = words.as_table(record)
            if not number:
                writer.writerow(["input", *columns])
            writer.writerows([name, *row] for row in rows)


def _panel(what: str, answers: Answers, panels: dict[str, Any]) -> str:
    """Return the name of a panel that there is."""
    name = _DRAWN.get(what, what)
    if name not in panels:
        known = list(dict.fromkeys([*panels, *answers.outputs]))
        if not known:
            raise ValueError(f"the task {answers.task!r} has nothing to predict")
        raise ValueError(f"unknown --what={what}{did_you_mean(what, known)}: use one of {known}")
    return name


def _check_suffix(path: Path, what: str, suffixes: Sequence[str]) -> None:
    if path.suffix not in suffixes:
        raise ValueError(
            f"--output={path}: {what} cannot be written to such a file; its name must end in "
            f"{' or '.join(suffixes)}"
        )


def _remove_others(written: Sequence[Path]) -> None:
    """Remove pages that an earlier call wrote, which would be taken for a part of these."""
    stem = re.sub(r"-\d+$", "", written[0].stem) if len(written) > 1 else written[0].stem
    for path in written[0].parent.glob(f"*{written[0].suffix}"):
        is_page = re.fullmatch(rf"{re.escape(stem)}(-\d+)?", path.stem)
        if is_page and path not in written:
            path.unlink(missing_ok=True)
