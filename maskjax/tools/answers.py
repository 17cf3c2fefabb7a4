"""What answers questions about inputs of one's own: a run's newest state, or an export of it."""

import abc
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from maskjax import data as data_layer
from maskjax.data import Example
from maskjax.evaluation.panels import UNKNOWN, ClassPanel, Panel
from maskjax.tasks import pictures, text_body, token_labels
from maskjax.tools.exported import Exported
from maskjax.tools.programs import INDEX
from maskjax.tools.raw import in_units
from maskjax.tools.saved import Saved, open_saved
from maskjax.training import cpu, draw
from maskjax.training.step import eval_context


class Answers(abc.ABC):
    """A model at work.

    Attributes:
        folder: where files go that nobody named.
        processor: of the data that it learned from, which knows their units.
        task: its name, for messages.
        class_names: in label order; () where classes have no names.
        outputs: names of what `rows` gives.
    """

    folder: Path
    processor: Any
    task: str
    class_names: tuple[str, ...]
    outputs: tuple[str, ...]

    @abc.abstractmethod
    def rows(self, what: str, examples: Sequence[Example], size: int, first: int) -> Any:
        """Compute an output, one row an example.

        Args:
            what: its name.
            examples: at least one.
            size: rows to compute, so that one program does for all pages.
            first: place of the first example among all: it decides which masks are drawn.

        Returns:
            NumPy arrays [len(examples), ...], one or a dict of them.
        """

    @abc.abstractmethod
    def panels(self, examples: Sequence[Example], size: int, first: int) -> dict[str, Panel]:
        """Make panels of the examples, by name; see `rows`."""


class OfRun(Answers):
    """A run's state."""

    def __init__(self, run: Saved):
        """Take what the run knows."""
        self.run, self.folder, self.processor = run, run.folder, run.data.processor
        self.task = run.config.task
        self.class_names = tuple(getattr(run.data, "class_names", None) or ())
        self.outputs = tuple(run.task.outputs())

    def _batch(self, examples: Sequence[Example], size: int, first: int) -> dict[str, Any]:
        batch = data_layer.batch_of(self.processor, examples, size)
        return {**batch, INDEX: first + np.arange(size, dtype=np.int32)}

    @functools.cache  # noqa: B019 - as long as the process
    def _program(self, what: str) -> Callable[..., Any]:
        run, output = self.run, self.run.task.outputs()[what]

        def program(batch: Any) -> Any:
            context = eval_context(run.config, batch, run.state.memory)
            return in_units(self.processor, output(run.state.eval_params, batch, context))

        return jax.jit(program, compiler_options=cpu.compiler_options(run.state.eval_params))

    def rows(self, what: str, examples: Sequence[Example], size: int, first: int) -> Any:
        """See `Answers`."""
        found = self._program(what)(self._batch(examples, size, first))
        return jax.tree.map(lambda x: np.asarray(x)[: len(examples)], found)

    def panels(self, examples: Sequence[Example], size: int, first: int) -> dict[str, Panel]:
        """Make what the task shows."""
        run, batch = self.run, self._batch(examples, size, first)
        return draw.show(run.task, run.state, batch, run.config, first=first)


class OfExport(Answers):
    """An export's programs."""

    def __init__(self, exported: Exported):
        """Take what the export knows."""
        self._exported, self.folder, self.processor = exported, exported.folder, exported.processor
        self.task, self.class_names = exported.config.task, exported.class_names
        self.outputs = exported.names

    def rows(self, what: str, examples: Sequence[Example], size: int, first: int) -> Any:
        """See `Answers`."""
        padded = [*examples, *[self.processor.empty()] * (size - len(examples))]
        raw = self._exported.raw(padded, index=first + np.arange(len(padded)))
        found = self._exported(what, raw)
        return jax.tree.map(lambda x: x[: len(examples)], found)

    def panels(self, examples: Sequence[Example], size: int, first: int) -> dict[str, Panel]:
        """Make what the outputs allow: reconstructions, and what was classified or tagged."""
        found: dict[str, Panel] = {}
        if "reconstructions" in self.outputs:
            found |= self._reconstructions(examples, size, first)
        if "classes" in self.outputs:
            labels = np.full(len(examples), UNKNOWN)
            chances = self.rows("classes", examples, size, first)
            batch = self.processor.collate(examples)
            inputs = batch["inputs"] if "inputs" in batch else text_body.shown(batch)
            found["classified"] = ClassPanel(inputs, labels, chances, self.class_names)
        if "labels" in self.outputs:
            batch = self.processor.collate(examples)
            chances = self.rows("labels", examples, size, first)
            names = self.processor.tag_names
            found["labelled"] = token_labels.labelled(batch, chances, names)
        return found

    def _reconstructions(
        self, examples: Sequence[Example], size: int, first: int
    ) -> dict[str, Panel]:
        processor, parts = self.processor, self.rows("reconstructions", examples, size, first)
        units = {
            name: x if x.dtype == bool else (x - processor.mean) / processor.std
            for name, x in parts.items()
        }
        loss = self._exported.config.loss
        return pictures.reconstructions(
            processor.collate(examples), units, on=loss.on, target=loss.target
        )


def open_answers(
    workdir: Path | None, model: Path | None, *, source: str = "", state: str = ""
) -> Answers:
    """Open a run, or an export, of which one is given.

    Args:
        workdir: folder of a run; its data are needed only where its config.json does not describe
            them.
        model: folder of an export.
        source: where a run's data are, as `config.data.source`; "" where they were.
        state: which of a run's states, see `open_saved`.

    Raises:
        FileNotFoundError: no run, no checkpoint yet, no data, or no export.
        ValueError: both or none are given, or they cannot be read.
    """
    if workdir is not None and model is None:
        run = open_saved(workdir, source=source, needs_examples=False, which=state)
        return OfRun(run)
    if model is None or workdir is not None:
        raise ValueError("give one of --workdir=RUN and --model=EXPORT")
    if source or state:
        raise ValueError("--data and --state belong to a run: leave them out, or give --workdir")
    return OfExport(Exported(model))
