"""Where numbers go: metrics.jsonl, the terminal, and the trackers that a config chooses."""

import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
from matplotlib.figure import Figure
from tqdm import tqdm

from maskjax import evaluation
from maskjax.evaluation.metrics import Table
from maskjax.terminal import say
from maskjax.workdir import trackers
from maskjax.workdir.best import Best
from maskjax.workdir.folder import write_atomically
from maskjax.workdir.lines import METRICS, read_metrics
from maskjax.workdir.tables import json_number, write_tables


class Progress:
    """A bar with loss, speed and time left on a terminal; plain lines elsewhere."""

    def __init__(
        self, start: int, total: int, *, name: str, file: Any = None, is_shown: bool = True
    ):
        """Show `start` of `total` steps as done, on `file` or standard output, or nothing ever."""
        self._file = sys.stdout if file is None else file
        self._is_shown = is_shown
        self._total, self._name = total, name
        is_terminal = is_shown and self._file.isatty()
        self._bar = (
            tqdm(total=total, initial=start, desc=name, unit="step", file=self._file)
            if is_terminal
            else None
        )

    def update(self, step: int, numbers: Mapping[str, Any] | None = None) -> None:
        """Move to a step, and show "loss", "examples_per_second" and what "step_seconds" says."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
            if numbers is not None:
                self._bar.set_postfix_str(self._text(numbers))
        elif numbers is not None:
            left = numbers["step_seconds"] * (self._total - step)
            self.say(
                f"{self._name}: step {step}/{self._total}  {self._text(numbers)}  "
                f"{tqdm.format_interval(left)} left"
            )

    def say(self, text: str) -> None:
        """Print a line without tearing the bar."""
        if self._bar is not None:
            self._bar.write(text, file=self._file)
        elif self._is_shown:
            say(text, self._file)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    @staticmethod
    def _text(numbers: Mapping[str, Any]) -> str:
        return f"loss {numbers['loss']:.4f}  {numbers['examples_per_second']:.0f} examples/s"


class RunLog(contextlib.AbstractContextManager):
    """Writes and shows a run's numbers; in a run over several processes the first one alone does.

    Attributes:
        last: the last line of each split, from before a resumption too.
        evaluated: the lines of validation, by step.
        progress: the display.
    """

    def __init__(
        self,
        workdir: Path,
        start: int,
        total: int,
        *,
        names: Sequence[str] = ("tensorboard",),
        config: Mapping[str, Any] | None = None,
        best: Best | None = None,
    ):
        """Go on after step `start`: later lines, of a run that was killed, are dropped.

        Args:
            workdir: the run's folder.
            start: steps done.
            total: steps of the whole run.
            names: of trackers, checked; metrics.jsonl is written whether it is among them or not.
            config: what trackers are told of the run, {dotted name: value}.
            best: tells whose tables are kept beside the last, where it is watched.
        """
        self._writes = jax.process_index() == 0
        kept = [line for line in read_metrics(workdir) if line["step"] <= start]
        self.last = {line["split"]: line for line in kept}
        self.evaluated = {line["step"]: line for line in kept if line["split"] == "validation"}
        self._before = max((line.get("seconds", 0.0) for line in kept), default=0.0)
        self._began = time.perf_counter()
        self.progress = Progress(start, total, name=workdir.name, is_shown=self._writes)
        self._folder, self._best = workdir, best or Best()
        if self._writes:
            write_atomically(workdir / METRICS, "".join(json.dumps(x) + "\n" for x in kept))
            self._file = (workdir / METRICS).open("a", encoding="utf-8")
            self._trackers = trackers.make(names, trackers.Start(workdir, config or {}, start))

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self.progress.close()
        if self._writes:
            self._file.close()
            for tracker in self._trackers:
                tracker.close()

    def write_figures(self, step: int, figures: Mapping[str, Figure]) -> None:
        """Show figures in the trackers, by name."""
        if self._writes and self._trackers:
            pixels = {f"figures/{name}": evaluation.figure_pixels(x) for name, x in figures.items()}
            for tracker in self._trackers:
                tracker.images(pixels, step)

    @property
    def seconds(self) -> float:
        """Wall-clock time of the run so far, over all its resumptions."""
        return self._before + time.perf_counter() - self._began

    def write(
        self,
        step: int,
        split: str,
        numbers: Mapping[str, Any],
        tables: Mapping[str, Table] = MappingProxyType({}),
    ) -> None:
        """Add a line.

        Args:
            step: steps done.
            split: "train", "validation" or "test".
            numbers: what was measured; a number that is not finite is written as null.
            tables: what is no single number, for tables.json, by name.
        """
        numbers = {name: json_number(value) for name, value in numbers.items()}
        line = {"step": step, "split": split, **numbers, "seconds": round(self.seconds, 3)}
        self.last[split] = line
        if split == "validation":
            self.evaluated[step] = line
        if not self._writes:
            return
        if tables:  # first, for the line says that the evaluation is done
            kept = self._best.order(self.evaluated)[:1] if self._best.is_watched else ()
            write_tables(self._folder, split, step, tables, kept)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        shown = {name: x for name, x in numbers.items() if x is not None and not isinstance(x, str)}
        for tracker in self._trackers:
            tracker.scalars({f"{split}/{name}": x for name, x in shown.items()}, step)
