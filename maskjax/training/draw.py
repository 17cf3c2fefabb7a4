"""Pictures of what a model makes of its input, into a run's `figures/` folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from maskjax import evaluation
from maskjax import workdir as layout
from maskjax.evaluation.panels import Panel, TextPanel, first_rows, in_texts
from maskjax.tasks.task import Task
from maskjax.training.state import TrainState
from maskjax.training.step import eval_context
from maskjax.typing import Batch
from maskjax.workdir.lines import read_metrics
from maskjax.workdir.tables import read_tables


def draw(
    task: Task,
    state: TrainState,
    data: Any,
    config: Any,
    workdir: Path,
    out: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Figure]:
    """Draw the pictures of a run and save them as PNG.

    Args:
        task: What was learned; its panels are drawn.
        state: The state to show; its averaged parameters where it has them.
        data: Has `examples`, and a `processor` that knows their units.
        config: The run's.
        workdir: The run's folder.
        out: Folder for the pictures; None is the run's `figures/`.
        say: Told what was written, a text a line.

    Returns:
        The figures by name; each is saved as `NAME.png`.
    """
    count, split = config.figures.num_examples, "validation" if data.num_validation else "train"
    batch = data.examples(split, count) if count else {}
    figures = {}
    if batch:
        panels = show(task, state, batch, config)
        figures = {name: evaluation.draw_panel(x, data.processor) for name, x in panels.items()}
        for panel in panels.values():
            if isinstance(panel, TextPanel):
                for given, whole in in_texts(panel, data.processor):
                    say(" ".join(f"{given} |{whole.removeprefix(given)}".split()))
    rows = read_metrics(workdir)
    if any(row["split"] == "train" for row in rows):
        figures["loss"] = evaluation.loss_curve(rows, loss_label=task.loss_label)
    last = {line["split"]: line for line in rows}
    for split, tables in sorted(read_tables(workdir, last).items(), reverse=True):  # test wins
        line = last[split]
        title = f"{{}}, {split} at step {line.get('best_step', line['step'])}"
        figures |= {
            name: evaluation.confusion_matrix(table, title.format(name.capitalize()))
            for name, table in tables.items()
            if table.is_matrix and len(table.rows) > 1
        }
    for name, figure in figures.items():
        evaluation.save_figure(figure, (out or workdir / layout.FIGURES) / f"{name}.png")
    return figures


def show(
    task: Task, state: TrainState, batch: Batch, config: Any, *, first: int = 0
) -> dict[str, Panel]:
    """Make a task's panels.

    Args:
        task: What was learned.
        state: What it learned.
        batch: Examples, then rows that only fill it, "is_valid" [B] False.
        config: The run's; seed and total_steps fix what is hidden.
        first: Place of the first example among all that are shown.

    Returns:
        Panels of the examples by name, on the host.
    """
    index = np.arange(first, first + len(batch["is_valid"]), dtype=np.int32)
    rows = jax.device_put(dict(batch, index=index))
    panels = task.show(state.eval_params, rows, eval_context(config, rows, state.memory))
    count = int(np.sum(batch["is_valid"]))
    return {name: first_rows(panel, count) for name, panel in panels.items()}
