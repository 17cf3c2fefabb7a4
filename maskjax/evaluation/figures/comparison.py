"""Settings side by side: every run a dot, of many runs the middle of them, every mean a line."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from maskjax.evaluation.figures.canvas import (
    FAINT,
    INK,
    LINES,
    add_axes,
    add_text,
    new_figure,
    plain_axes,
)
from maskjax.evaluation.figures.letters import fitting, one_line, width_of

_ROW, _PANEL, _GAP = 0.24, 2.8, 0.3  # inches
_MOST_LETTERS = 48  # of a setting's name
_FONT = 8
_ACROSS = 4  # panels in a line
_LEAST_SPAN = 0.005  # of a panel, as a share of its largest number
_MANY = 100  # runs of a setting, whose dots would hide each other


def comparison_panel(
    values: Mapping[str, Mapping[str, Mapping[int, float]]],
    *,
    marks: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    title: str = "",
) -> Figure:
    """Draw one panel a metric, four in a line, with a row for each setting: its runs, their mean.

    Of a hundred runs or more a bar holds the middle 90 %.

    Args:
        values: {metric: {setting: {seed: number}}}, the same settings in each; a setting without
            numbers leaves its row empty, and numbers that are not finite are left out.
        marks: {metric: {name: {setting: number}}}, further numbers in the rows, such as bounds.
        title: above all.

    Returns:
        The figure.

    Raises:
        ValueError: no metric, or no setting.
    """
    settings = list(next(iter(values.values()), {}))
    if not settings:
        raise ValueError("values must hold at least one metric with one setting")
    names = [one_line(setting, _MOST_LETTERS) for setting in settings]
    left = 0.3 + max(width_of(name, _FONT) for name in names)
    height = _ROW * len(settings)
    is_marked = any((marks or {}).values())
    block = height + 0.75 + 0.3 * is_marked
    across, down = min(len(values), _ACROSS), -(-len(values) // _ACROSS)
    figure = new_figure(left + (_PANEL + _GAP) * across, 0.4 + block * down)
    add_text(figure, 0.15, 0.12, one_line(title, 100), fontsize=10)
    for number, (metric, of_settings) in enumerate(values.items()):
        at, row = number % _ACROSS, number // _ACROSS
        place = (left + (_PANEL + _GAP) * at, 0.6 + block * row)
        axes = add_axes(figure, *place, _PANEL, height)
        _draw(axes, [of_settings[setting] for setting in settings], LINES[number % len(LINES)])
        _mark(axes, settings, (marks or {}).get(metric, {}))
        _set_span(axes)
        name = fitting(metric, 9, _PANEL + 0.8 * _GAP)
        axes.set_title(name, fontsize=9, color=INK, loc="left", parse_math=False)
        axes.set_yticks(range(len(settings)), names if at == 0 else [""] * len(settings))
        for label in axes.get_yticklabels():
            label.set_parse_math(False)
    return figure


def _draw(axes: Axes, rows: list[Mapping[int, float]], colour: str) -> None:
    """Draw the rows of a panel, the first on top."""
    for place, of_seeds in enumerate(rows):
        numbers = np.array([x for x in of_seeds.values() if np.isfinite(x)], float)
        if len(numbers) < _MANY:
            y = np.full(len(numbers), place)
            axes.plot(numbers, y, "o", color=colour, markersize=4, alpha=0.5)
        else:
            middle = np.quantile(numbers, (0.05, 0.95))
            axes.plot(middle, [place, place], color=colour, linewidth=5, alpha=0.5)
        if len(numbers):
            mean = numbers.mean()
            axes.plot([mean, mean], [place - 0.35, place + 0.35], color=INK, linewidth=1.4)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    plain_axes(axes)


def _set_span(axes: Axes) -> None:
    """Let a panel hold its numbers; those that hardly differ are not torn apart."""
    low, high = axes.dataLim.intervalx
    if not high >= low:  # there are none
        low = high = 0.0
    least = _LEAST_SPAN * max(abs(low), abs(high)) or 1.0
    if high - low < least:
        low = 0.0 if low == 0 else (low + high - least) / 2
        high = low + least
    axes.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _mark(axes: Axes, settings: list[str], marks: Mapping[str, Mapping[str, float]]) -> None:
    """Add further numbers to the rows of a panel, with a legend below."""
    for symbol, (name, numbers) in zip("^vDsP*", marks.items(), strict=False):
        places = [place for place, setting in enumerate(settings) if setting in numbers]
        x = [numbers[settings[place]] for place in places]
        axes.plot(x, places, symbol, color=FAINT, markersize=4, label=name)
    if marks:
        axes.legend(
            fontsize=_FONT, frameon=False, labelcolor=INK, ncols=len(marks),
            loc="upper left", bbox_to_anchor=(0, -0.3 / (_ROW * len(settings))),
        )  # fmt: skip
