"""A run drawn again from its folder."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from maskjax import workdir as layout
from maskjax.tools import mask_report
from maskjax.tools.saved import open_saved, writable
from maskjax.training import draw


def draw_run(
    workdir: Path,
    *,
    source: str = "",
    out: Path | None = None,
    state: str = "",
    against: Sequence[str] = (),
    sensitivity: Sequence[float] = (),
) -> list[Path]:
    """Draw a finished or running run from one of its checkpoints.

    Args:
        workdir: The run's folder.
        source: Where its data are, as `config.data.source`; "" where they were.
        out: Folder for the pictures; None is the run's `figures/`.
        state: Which of the run's is drawn, see `open_saved`.
        against: Folders of runs, whose masks of weights are laid beside those of this one.
        sensitivity: Shares of each leaf alone that are hidden, to see what is left.

    Returns:
        Paths of the pictures.

    Raises:
        FileNotFoundError: No run, no checkpoint yet, or no data.
        ValueError: The data do not fit the run, or `out` cannot be written.
    """
    out = writable(out or workdir / layout.FIGURES, "--out")
    run = open_saved(workdir, source=source, needs_examples=True, which=state)
    figures = draw.draw(run.task, run.state, run.data, run.config, workdir, out)
    written = mask_report.report(run, out, against=against, sensitivity=sensitivity)
    return [*(out / f"{name}.png" for name in figures), *written]


def refuse_images(workdir: str, images: Sequence[str]) -> None:
    """Say which command draws images of one's own.

    Raises:
        ValueError: there are images.
    """
    paths = [part for it in images for part in ([it] if os.path.exists(it) else it.split(","))]
    if paths:
        flags = [f"--workdir={workdir}", *(f"--input={path.strip()}" for path in paths)]
        command = shlex.join(["python", "launch/predict.py", *flags])
        raise ValueError(f"--images is another command's now: {command}")
