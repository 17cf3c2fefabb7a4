"""Panels of classified examples: what was seen, its class, and what the model took it for."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import (
    EDGE,
    FAINT,
    HIDDEN,
    INK,
    LINES,
    MARGIN,
    NOTE_LINE,
    add_axes,
    add_note,
    add_text,
    brightness_note,
    channel_note,
    displayed,
    fitted,
    new_figure,
    show_image,
    white_point,
    wrapped_note,
)
from maskjax.evaluation.figures.letters import literal, one_line
from maskjax.typing import Bool, Float, Num

_BARS = 5  # classes that are named beside an example
_SIDE, _WIDTH, _LINE = 1.25, 1.9, 0.25  # inches: a picture, its bars, a bar
_GAP, _HEADING = 0.16, 0.22
_COLUMNS = 3
_LETTERS = 22
_CHARACTER = 0.062  # inches of a written one
_RIGHT, _WRONG = LINES[2], LINES[1]
_NOTE = (
    "Bars: the likeliest classes and their probability; green is a class that the example has, "
    "orange the likeliest where that is wrong."
)


def class_panel(
    inputs: Num[np.ndarray, "N *shape"],
    is_true: Bool[np.ndarray, "N C"],
    probabilities: Float[np.ndarray, "N C"],
    classes: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    note: str = "",
) -> Figure:
    """Draw examples with bars of the likeliest classes beside them.

    Args:
        inputs: images [H, W, C] in [0, 1], signals [T, C], or volumes [T, H, W, C], of which the
            middle slice is shown; of another rank nothing is.
        is_true: the classes that each example has; none where nobody knows.
        probabilities: of each class.
        classes: their names.
        labels: a name for each example.
        texts: what is written in place of inputs that are texts.
        note: what the reader must know.

    Returns:
        The figure: an axes a picture and one for its bars.
    """
    if inputs.ndim == 5:
        inputs = inputs[:, inputs.shape[1] // 2]
    count, columns = len(inputs), min(_COLUMNS, len(inputs))
    notes = [_NOTE, *([note] if note else [])]
    if inputs.ndim == 4:
        white = white_point(inputs)
        inputs = inputs / inputs.dtype.type(white)
        notes += [*brightness_note(white), *channel_note(inputs.shape[-1])]
    across, down = _SIDE + 0.1 + _WIDTH, _HEADING + _BARS * _LINE
    width = columns * (across + _GAP) - _GAP
    lines = wrapped_note(notes, width)
    rows = -(-count // columns)
    height = rows * (down + _GAP) + NOTE_LINE * len(lines)
    figure = new_figure(width + 2 * MARGIN, height + 2 * MARGIN)
    for place in range(count):
        left = MARGIN + place % columns * (across + _GAP)
        top = MARGIN + place // columns * (down + _GAP)
        name = one_line(labels[place], 42) if labels is not None else ""
        add_text(figure, left, top, _heading(name, is_true[place], classes), fontsize=8)
        box = (left, top + _HEADING, _SIDE, _BARS * _LINE)
        if texts is None:
            _draw_input(figure, box, inputs[place])
        else:
            _write_input(figure, box, texts[place])
        axes = add_axes(figure, left + _SIDE + 0.1, top + _HEADING, _WIDTH, _BARS * _LINE)
        _draw_bars(axes, probabilities[place], is_true[place], classes)
    add_note(figure, lines)
    return figure


def _heading(name: str, is_true: Bool[np.ndarray, "C"], classes: Sequence[str]) -> str:
    """What stands above an example: its name, and the classes that it has."""
    true = ", ".join(classes[at] for at in np.flatnonzero(is_true).tolist())
    parts = [name, f"is {one_line(true, _LETTERS + 8)}" if true else ""]
    return ": ".join(part for part in parts if part)


def _draw_input(figure: Figure, box: tuple[float, float, float, float], x: np.ndarray) -> None:
    """Draw an image or a signal in the middle of a box (left, top, width, height)."""
    left, top, wide, high = box
    if x.ndim == 3:
        width, height = fitted(x.shape[1], x.shape[0], min(wide, high))
        place = (left + (wide - width) / 2, top + (high - height) / 2)
        show_image(add_axes(figure, *place, width, height), displayed(x))
    elif x.ndim == 2:
        axes = add_axes(figure, *box)
        for channel in range(x.shape[1]):
            axes.plot(x[:, channel], color=LINES[channel % len(LINES)], linewidth=0.8)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(EDGE)


def _write_input(figure: Figure, box: tuple[float, float, float, float], text: str) -> None:
    """Write a text, or how it begins, into a box."""
    left, top, wide, high = box
    lines = textwrap.wrap(one_line(text, 400), int(wide / _CHARACTER))
    for row, line in enumerate(lines[: int(high / NOTE_LINE)]):
        add_text(figure, left, top + row * NOTE_LINE, line, fontsize=7)


def _draw_bars(
    axes: Axes,
    probabilities: Float[np.ndarray, "C"],
    is_true: Bool[np.ndarray, "C"],
    classes: Sequence[str],
) -> None:
    """Draw the likeliest classes; in place of the last a true one that is not among them."""
    order = np.argsort(-probabilities, kind="stable")
    shown: list[int] = order[:_BARS].tolist()
    missed = [at for at in order[_BARS:].tolist() if is_true[at]]
    if missed:
        shown[-1] = missed[0]
    axes.set_xlim(0, 1)
    axes.set_ylim(_BARS - 0.5, -0.5)
    axes.set_axis_off()
    for row, at in enumerate(shown):
        color = _RIGHT if is_true[at] else _WRONG if row == 0 and is_true.any() else HIDDEN
        axes.barh(row, 1, height=0.8, color=EDGE, alpha=0.25)
        alpha = 1.0 if color == HIDDEN else 0.55
        axes.barh(row, np.nan_to_num(probabilities[at]), height=0.8, color=color, alpha=alpha)
        small = {"va": "center", "fontsize": 7}
        axes.text(0.02, row, **literal(one_line(classes[at], _LETTERS)), color=INK, **small)
        axes.text(0.98, row, f"{probabilities[at]:.1%}", ha="right", color=FAINT, **small)
