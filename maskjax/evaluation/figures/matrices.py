"""Pictures of tables whose rows and columns are the same things, such as confusions of classes."""

import numpy as np
from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import (
    EDGE,
    INK,
    MARGIN,
    NOTE_LINE,
    add_axes,
    add_note,
    add_text,
    new_figure,
    wrapped_note,
)
from maskjax.evaluation.figures.letters import literal, one_line, width_of
from maskjax.evaluation.metrics import Table

_MOST_NAMED, _MOST_WRITTEN = 60, 25  # classes
_LETTERS = 24
_HEADING = 0.3
_MIN_SIDE, _MAX_SIDE = 3.0, 7.0  # inches


def confusion_matrix(table: Table, title: str) -> Figure:
    """Draw how often each class was taken for each.

    Args:
        table: counts; a row is a true class, a column a predicted one.
        title: above it.

    Returns:
        The figure: colours are shares of a row, numbers the counts of up to 25 classes; of more
        than 60 there are no names.
    """
    counts, count = table.values, len(table.rows)
    totals = counts.sum(1, keepdims=True)
    shares = np.where(totals > 0, counts / np.where(totals > 0, totals, 1), np.nan)
    size = 7 if count <= 20 else 5.5
    names = [one_line(name, _LETTERS) for name in table.rows] if count <= _MOST_NAMED else []
    room = 0.1 + max((width_of(name, size) for name in names), default=0.1)
    side = min(_MAX_SIDE, max(_MIN_SIDE, 0.42 * count))
    is_upright = max((width_of(name, size) for name in names), default=0) > 0.9 * side / count
    below = room if is_upright else 0.2
    width = 0.25 + room + side
    lines = wrapped_note([_note(count, bool(np.isnan(shares).any()))], width)
    height = _HEADING + side + below + 0.3 + NOTE_LINE * len(lines)
    figure = new_figure(width + 2 * MARGIN, height + 2 * MARGIN)
    add_text(figure, MARGIN, MARGIN, title, fontsize=10)
    left, top = MARGIN + 0.25 + room, MARGIN + _HEADING
    axes = add_axes(figure, left, top, side, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    if names:
        spelt, family = [literal(name)["s"] for name in names], literal("")["family"]
        axes.set_xticks(range(count), spelt, family=family, rotation=90 if is_upright else 0)
        axes.set_yticks(range(count), spelt, family=family)
    axes.tick_params(length=0, labelsize=size, colors=INK, pad=2)
    for spine in axes.spines.values():
        spine.set_color(EDGE)
    if count <= _MOST_WRITTEN:
        _write(axes, counts, shares, min(7.0, 40 * side / count / 2.6))
    small = {"ha": "center", "va": "center", "fontsize": 8}
    add_text(figure, left + side / 2, top + side + below + 0.15, "predicted", **small)
    add_text(figure, MARGIN + 0.08, top + side / 2, "true", rotation=90, **small)
    add_note(figure, lines)
    return figure


def _note(count: int, has_empty: bool) -> str:
    """What the reader must know."""
    parts = ["Colour: share of the true class."]
    if count <= _MOST_WRITTEN:
        parts.append("Numbers: examples.")
    if has_empty:
        parts.append("A row without colour: a class without examples.")
    return " ".join(parts)


def _write(axes, counts: np.ndarray, shares: np.ndarray, size: float) -> None:
    """Write counts above 0 into their cells."""
    for row, column in np.argwhere(counts > 0).tolist():
        color = "white" if shares[row, column] > 0.55 else INK
        style = {"ha": "center", "va": "center", "fontsize": size, "color": color}
        axes.text(column, row, f"{counts[row, column]:g}", **style)
