"""Panels of tokens: what a model saw of a text or a history, and what it guessed."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from maskjax.evaluation.entities import OUTSIDE
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
    new_figure,
    wrapped_note,
)
from maskjax.evaluation.figures.letters import literal, one_line
from maskjax.evaluation.panels import Guess, Tagged

_WIDTH = 9.0
_LINE = 0.42
_TITLE = 0.22
_CHARACTER = 0.064
_PADDING = 0.09
_BETWEEN = 0.035
_LETTERS = 24  # of a word; longer ones are shortened
_RIGHT, _WRONG = LINES[2], LINES[1]
_NOTE = (
    "Veiled: hidden from the model, with the likeliest guess and its probability below; green "
    "where that is what was hidden."
)
_TAG_NOTE = "Below words what they were taken for, and its probability; green where it is right."


class _Box(NamedTuple):
    word: str
    guess: str
    color: str  # of the guess
    left: float
    width: float


def token_panel(
    lines: Sequence[Sequence[str | Guess | Tagged]],
    *,
    labels: Sequence[str] | None = None,
    note: str = "",
) -> Figure:
    """Draw the tokens of each example in boxes, broken into lines.

    Args:
        lines: of each example its words, as `panels.in_words` or `panels.tagged_words` gives them;
            at least one example.
        labels: a name for each example.
        note: what the reader must know.

    Returns:
        The figure: an axes a line.
    """
    labels = [one_line(label, 80) for label in labels or [""] * len(lines)]
    broken = [_broken([_boxed(word) for word in line]) for line in lines]
    are_tags = any(isinstance(word, Tagged) for line in lines for word in line)
    notes = wrapped_note([_TAG_NOTE if are_tags else _NOTE, *([note] if note else [])], _WIDTH)
    heights = [_TITLE * bool(label) + _LINE * len(part) for label, part in zip(labels, broken)]
    below = 0.1 + NOTE_LINE * len(notes)
    figure = new_figure(_WIDTH + 2 * MARGIN, sum(heights) + 0.1 * len(lines) + below + 2 * MARGIN)
    top = MARGIN
    for label, part, height in zip(labels, broken, heights, strict=True):
        if label:
            add_text(figure, MARGIN, top, label, weight="bold", fontsize=8)
        start = top + _TITLE * bool(label)
        for row, boxes in enumerate(part):
            _draw_line(add_axes(figure, MARGIN, start + row * _LINE, _WIDTH, _LINE), boxes)
        top += height + 0.1
    add_note(figure, notes)
    return figure


def _boxed(word: str | Guess | Tagged) -> _Box:
    """A word's texts, and how wide its box must be."""
    if isinstance(word, str):
        text, guess, color = one_line(word, _LETTERS), "", FAINT
    elif isinstance(word, Tagged):
        text, is_plain = one_line(word.word, _LETTERS), {word.tag, word.true} <= {OUTSIDE, ""}
        guess = "" if is_plain else f"{one_line(word.tag, _LETTERS)} {word.probability:.0%}"
        color = FAINT if not word.true else _RIGHT if word.true == word.tag else _WRONG
    else:
        text = one_line(word.true or "?", _LETTERS)
        guess = f"{one_line(word.words[0], _LETTERS)} {word.probabilities[0]:.0%}"
        color = FAINT if not word.true else _RIGHT if word.true == word.words[0] else _WRONG
    return _Box(text, guess, color, 0.0, _CHARACTER * max(len(text), len(guess)) + _PADDING)


def _broken(boxes: Sequence[_Box]) -> list[list[_Box]]:
    """Place boxes side by side, and begin a line where there is no room."""
    lines: list[list[_Box]] = [[]]
    left = 0.0
    for box in boxes:
        if left > 0 and left + box.width > _WIDTH:
            lines.append([])
            left = 0.0
        lines[-1].append(box._replace(left=left))
        left += box.width + _BETWEEN
    return lines


def _draw_line(axes: Axes, boxes: Sequence[_Box]) -> None:
    """Draw the boxes of a line, with guesses below those that were hidden."""
    axes.set_axis_off()
    axes.set_xlim(-0.01, _WIDTH + 0.01)
    axes.set_ylim(0, _LINE)
    for box in boxes:
        shape = "round,pad=0,rounding_size=0.04"
        style = {"edgecolor": EDGE, "linewidth": 0.6, "boxstyle": shape}
        face = HIDDEN if box.guess else "white"
        axes.add_patch(
            FancyBboxPatch(
                (box.left, _LINE / 2), box.width, _LINE / 2 - 0.02, facecolor=face, **style
            )
        )
        middle = {"ha": "center", "va": "center", "fontsize": 7}
        for text, height, color in ((box.word, 0.73, INK), (box.guess, 0.26, box.color)):
            place = (box.left + box.width / 2, _LINE * height)
            axes.text(*place, **literal(text, "monospace"), color=color, **middle)
