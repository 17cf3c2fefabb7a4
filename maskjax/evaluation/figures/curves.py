"""The learning curves of a run, drawn from the lines of its metrics.jsonl."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from maskjax.evaluation.figures.canvas import INK, LINES, add_axes, new_figure, plain_axes

# Measure in metrics.jsonl, name in the legend; "_pixels" is the same measure of raw pixels.
_SPLITS = ("train", "validation", "test")
_PROBES = (("knn_accuracy", "k-NN"), ("linear_accuracy", "linear probe"))


def loss_curve(
    rows: Sequence[Mapping[str, Any]], *, loss_label: str = "loss", title: str = "Loss"
) -> Figure:
    """Draw training and validation loss over steps, and the probes' accuracy where there is any.

    A step that appears twice, as after a restart, is drawn once, as logged last. What is missing
    or not finite leaves a gap.

    Args:
        rows: The objects of metrics.jsonl: "step", "split" ("train", "validation", or "test", which
            is one point and is not drawn), then numbers; accuracies are in [0, 1].
        loss_label: The name and unit of the loss, for its axis.
        title: Above the panel of the loss.

    Returns:
        The figure: one panel, or two where rows carry "knn_accuracy" or "linear_accuracy".

    Raises:
        ValueError: No row has a loss, or a row lacks its step or split.
    """
    for number, row in enumerate(rows, start=1):
        if "step" not in row or row.get("split") not in _SPLITS:
            raise ValueError(f'row {number} needs "step" and "split", of {_SPLITS}: {dict(row)}')
    losses = {split: _series(rows, split, "loss") for split in ("train", "validation")}
    if not any(len(steps) for steps, _ in losses.values()):
        raise ValueError(f'none of the {len(rows)} rows has a "loss"')
    has_probes = any(len(_series(rows, "validation", name)[0]) for name, _ in _PROBES)

    figure = new_figure(9.8 if has_probes else 4.95, 3.25)
    axes = add_axes(figure, 0.85, 0.4, 3.9, 2.35)
    for (split, (steps, values)), name, colour in zip(
        losses.items(), ("training", "validation"), LINES, strict=False
    ):
        if len(steps):
            style = _style(len(steps)) if split == "validation" else _style(len(steps), width=0.9)
            axes.plot(steps, values, color=colour, label=name, **style)
    axes.ticklabel_format(axis="y", useOffset=False)
    _finish(axes, title, loss_label)
    if has_probes:
        probe_axes = add_axes(figure, 5.7, 0.4, 3.9, 2.35)
        probe_axes.sharex(axes)
        _draw_probes(probe_axes, rows)
    return figure


def _series(
    rows: Sequence[Mapping[str, Any]], split: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps, in order, and values of one measure; null becomes NaN."""
    values = {row["step"]: row[name] for row in rows if row["split"] == split and name in row}
    steps = sorted(values)
    numbers = np.array([values[step] for step in steps], dtype=float)  # None becomes NaN
    return np.array(steps), np.where(np.isfinite(numbers), numbers, np.nan)


def _style(num_points: int, width: float = 1.5) -> dict[str, Any]:
    """Mark the points where they are few enough to tell apart."""
    is_sparse = num_points <= 30
    return {"linewidth": width, "marker": "o" if is_sparse else None, "markersize": 3.5}


def _draw_probes(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw each probe's accuracy and, dashed, that of the same probe on raw pixels."""
    for (measure, name), colour in zip(_PROBES, LINES[2:], strict=False):
        steps, values = _series(rows, "validation", measure)
        if len(steps):
            label = f"{name}, {values[-1]:.1%}"
            axes.plot(steps, values, color=colour, label=label, **_style(len(steps)))
        steps, values = _series(rows, "validation", f"{measure}_pixels")
        if len(steps):
            label = f"{name} on raw pixels, {values[-1]:.1%}"
            axes.axhline(values[-1], color=colour, label=label, linewidth=1.1, linestyle="--")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _finish(axes, "Frozen features, validation split", "accuracy")


def _finish(axes: Axes, title: str, label: str) -> None:
    """Give axes their title, labels, grid and legend."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", parse_math=False)
    axes.set_xlabel("step", fontsize=9, color=INK)
    axes.set_ylabel(textwrap.fill(label, 36), fontsize=9, color=INK, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    plain_axes(axes)
    axes.margins(x=0.02, y=0.08)
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)
