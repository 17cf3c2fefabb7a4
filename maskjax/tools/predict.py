"""What a run makes of inputs of one's own: pictures, words or features, whatever its task shows."""

import csv
import itertools
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from maskjax import data as data_layer
from maskjax import evaluation
from maskjax import workdir as layout
from maskjax.evaluation.panels import Guess, TokenPanel, in_words, said
from maskjax.paths import atomic_file
from maskjax.spelling import did_you_mean
from maskjax.terminal import say
from maskjax.tools.saved import Saved, open_saved, writable
from maskjax.training import draw
from maskjax.training.step import eval_context
from maskjax.typing import Batch

PAGE = 16  # examples that are read and computed at a time, and rows of one picture
_PICTURES, _WORDS, _ROWS = (".png", ".pdf", ".svg"), (".txt", ".csv"), (".npz", ".csv")
_COLUMNS = ("input", "position", "true", "rank", "guess", "probability")


class _Page(NamedTuple):
    number: int  # from 0
    is_alone: bool
    labels: list[str]
    batch: Batch


def predict(
    workdir: Path,
    inputs: Sequence[str],
    *,
    what: str = "",
    output: Path | None = None,
    source: str = "",
    limit: int = 256,
    state: str = "",
) -> Iterator[str]:
    """Say what a run makes of inputs.

    Args:
        workdir: the run's folder; its data are needed only where its config.json does not describe
            them.
        inputs: paths, or what else the run's processor reads.
        what: a panel that the task shows, as "reconstructions", or one of its outputs, as
            "features"; "" is its first panel.
        output: a picture (.png, .pdf, .svg), words (.txt, .csv) or numbers (.npz, .csv), as fits;
            for pictures also a folder. None is the run's folder for pictures and numbers, and no
            file for words.
        source: where the run's data are, as `config.data.source`; "" where they were.
        limit: read the first so many inputs, at least 1.
        state: which of the run's answers, see `open_saved`.

    Yields:
        A line for the user: words, or the path of a file once it is written.

    Raises:
        FileNotFoundError: no run, no checkpoint yet, no data, or no such input.
        ValueError: an input that cannot be read or does not fit the run, an unknown `what`, or a
            file that cannot be written or is of another kind.
    """
    if limit < 1:
        raise ValueError(f"the limit of inputs is {limit}: it must be at least 1")
    if output is not None:
        is_folder = not output.suffix or output.is_dir()
        writable(output if is_folder else output.parent, "--output")
    run = open_saved(workdir, source=source, needs_examples=False, which=state)
    pages = _pages(run, inputs, limit)
    if what in run.task.outputs():
        yield _write_rows(run, what, pages, output)
    else:
        yield from _show(run, what, pages, output, limit)


def _pages(run: Saved, inputs: Sequence[str], limit: int) -> Iterator[_Page]:
    """Read inputs, a page at a time, all of them padded to one size."""
    processor = run.data.processor
    examples = itertools.chain.from_iterable(processor.read(_located(text)) for text in inputs)
    chosen = itertools.islice(examples, limit)
    read = list(itertools.islice(chosen, PAGE))
    if not read:
        raise ValueError("none of these inputs can be read; give others as --input")
    size = len(read)
    for number in itertools.count():
        rest = list(itertools.islice(chosen, PAGE))
        labels = [label for label, _ in read]
        batch = data_layer.batch_of(processor, [example for _, example in read], size)
        place = number * PAGE + np.arange(size, dtype=np.int32)
        yield _Page(number, number == 0 and not rest, labels, {**batch, "index": place})
        read = rest
        if not read:
            break
    if next(examples, None) is not None:
        say(f"these are the first {limit} inputs: a higher --limit takes more", sys.stderr)


def _located(text: str) -> str:
    """A path as a shell would read it, or the text that is none."""
    path = os.path.expanduser(text)
    expanded = os.path.expandvars(path)
    return next((it for it in (text, path, expanded) if os.path.exists(it)), text)


def _write_rows(run: Saved, what: str, pages: Iterator[_Page], output: Path | None) -> str:
    """Write an output, one row an input, and return the path."""
    path = output or run.folder / f"{what}.npz"
    _check_suffix(path, what, _ROWS)
    program = jax.jit(
        lambda batch: run.task.outputs()[what](
            run.state.eval_params, batch, eval_context(run.config, batch, run.state.memory)
        )
    )
    labels, rows = [], []
    for page in pages:
        found = program(page.batch)
        rows.append(np.asarray(found)[: len(page.labels)])
        labels += page.labels
    table = np.concatenate(rows)
    if path.suffix == ".npz":
        with atomic_file(path, "wb") as file:
            arrays: Any = {what: table, "inputs": np.array(labels)}
            np.savez(file, **arrays)
        return str(path)
    flat = table.reshape(len(table), -1)
    with atomic_file(path) as file:
        writer = csv.writer(file)
        writer.writerow(["input", *range(flat.shape[1])])
        writer.writerows([label, *row] for label, row in zip(labels, flat.tolist(), strict=True))
    return str(path)


def _show(
    run: Saved, what: str, pages: Iterator[_Page], output: Path | None, limit: int
) -> Iterator[str]:
    """Draw a panel of each page, or say it in words."""
    written: list[Path] = []
    table: list[tuple] = []
    digits, is_named = len(str(-(-limit // PAGE))), False
    for page in pages:
        panels = draw.show(run.task, run.state, page.batch, run.config, first=page.number * PAGE)
        what = _known(what or next(iter(panels), ""), run, panels)
        panel = panels[what]
        if isinstance(panel, TokenPanel) and (output is None or output.suffix in _WORDS):
            lines = list(in_words(panel, run.data.processor))
            table += zip(page.labels, lines, strict=True)
            if output is None:
                yield from (f"{name}: {said(line)}" for name, line in table[-len(lines) :])
            continue
        path = output or run.folder / layout.FIGURES
        is_named = bool(path.suffix) and not path.is_dir()
        path = path if is_named else path / f"own_{what}.png"
        _check_suffix(path, what, (*_PICTURES, *(_WORDS if isinstance(panel, TokenPanel) else ())))
        if not page.is_alone:
            path = path.with_stem(f"{path.stem}-{page.number + 1:0{digits}}")
        figure = evaluation.draw_panel(panel, run.data.processor, labels=page.labels)
        evaluation.save_figure(figure, path)
        written.append(path)
        yield str(path)
    if table and output is not None:
        _write_words(output, table)
        yield str(output)
    if written and not is_named:
        _remove_others(written)


def _write_words(path: Path, table: Sequence[tuple[str, list[str | Guess]]]) -> None:
    """Write a line an input, or as CSV a line a guess."""
    with atomic_file(path) as file:
        if path.suffix != ".csv":
            file.writelines(f"{name}: {said(line)}\n" for name, line in table)
            return
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for name, line in table:
            for word in line:
                if isinstance(word, Guess):
                    guesses = zip(word.words, word.probabilities, strict=True)
                    for rank, (guess, chance) in enumerate(guesses, 1):
                        writer.writerow([name, word.position, word.true, rank, guess, chance])


def _known(what: str, run: Saved, panels: dict[str, Any]) -> str:
    """Return the name of a panel that there is."""
    if what not in panels:
        known = [*panels, *run.task.outputs()]
        if not known:
            raise ValueError(f"the task {run.config.task!r} has nothing to predict")
        raise ValueError(f"unknown --what={what}{did_you_mean(what, known)}: use one of {known}")
    return what


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
