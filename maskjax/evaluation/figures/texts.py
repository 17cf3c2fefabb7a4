"""Panels of texts: what a model was given, and how it wrote on."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import (
    FAINT,
    INK,
    MARGIN,
    NOTE_LINE,
    add_note,
    add_text,
    new_figure,
    wrapped_note,
)
from maskjax.evaluation.figures.letters import one_line

_WIDTH = 9.0
_LINE = 0.17
_BETWEEN = 0.14
_CHARACTERS = 118  # of a line
_LETTERS = 4000  # of a text; longer ones are cut
_NOTE = "Grey: what was given; below it what the model wrote."


def text_panel(
    texts: Sequence[tuple[str, str]], *, labels: Sequence[str] | None = None, note: str = ""
) -> Figure:
    """Draw texts below each other.

    Args:
        texts: of each example what stood before all that was written, and the whole text.
        labels: a name for each example.
        note: what the reader must know.

    Returns:
        The figure.
    """
    blocks = []
    for label, (given, whole) in zip(labels or [""] * len(texts), texts, strict=True):
        written = whole.removeprefix(given)
        parts = ((given, {"color": FAINT}), (written, {"color": INK}))
        lines = [(one_line(label, 80), {"weight": "bold"})] if label else []
        for text, style in parts:
            for line in textwrap.wrap(" ".join(text.split())[:_LETTERS], _CHARACTERS):
                lines.append((line, style))
        blocks.append(lines)
    notes = wrapped_note([_NOTE, *([note] if note else [])], _WIDTH)
    height = sum(_LINE * len(lines) + _BETWEEN for lines in blocks) + NOTE_LINE * len(notes)
    figure = new_figure(_WIDTH + 2 * MARGIN, height + 2 * MARGIN)
    top = MARGIN
    for lines in blocks:
        for line, style in lines:
            add_text(figure, MARGIN, top, line, **{"fontsize": 8, **style})
            top += _LINE
        top += _BETWEEN
    add_note(figure, notes)
    return figure
