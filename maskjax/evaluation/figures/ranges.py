"""Numbers against what varies: a line for each thing that is compared, its runs in a band."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import (
    FAINT,
    INK,
    LINES,
    add_axes,
    add_text,
    new_figure,
    plain_axes,
)
from maskjax.evaluation.figures.letters import one_line, width_of

_WIDTH, _HEIGHT, _GAP, _FONT = 3.6, 2.6, 0.65, 8  # inches, points
_DASHES = ("-", "--", ":", "-.")  # each colour comes with each
_MOST_LETTERS = 40


def ranges_panel(
    values: Mapping[str, Mapping[str, Mapping[float | int, Sequence[float]]]],
    *,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    along: str,
    title: str = "",
) -> Figure:
    """Draw one panel a metric: the mean of the runs at each place, in a band from least to most.

    Args:
        values: {metric: {line: {place: numbers of runs}}}; numbers that are not finite leave their
            place out.
        levels: {metric: {name: number}}, dashed lines at all places.
        along: what the places are, below each panel.
        title: above all.

    Returns:
        The figure.

    Raises:
        ValueError: no metric has a line with a finite number.
    """
    found = {name: lines for name, lines in values.items() if any(map(_series, lines.values()))}
    if not found:
        raise ValueError("values must hold at least one metric with one finite number")
    levels = levels or {}
    names = list(dict.fromkeys(name for lines in found.values() for name in lines))
    flat = list(dict.fromkeys(name for of in levels.values() for name in of))
    right = 0.55 + max(width_of(one_line(name, _MOST_LETTERS), _FONT) for name in [*names, *flat])
    figure = new_figure((_WIDTH + _GAP) * len(found) + right, _HEIGHT + 1.25)
    add_text(figure, 0.15, 0.12, one_line(title, 100), fontsize=10)
    for number, (metric, lines) in enumerate(found.items()):
        axes = add_axes(figure, _GAP + (_WIDTH + _GAP) * number, 0.6, _WIDTH, _HEIGHT)
        for name, of_places in lines.items():
            at = names.index(name)
            style = _DASHES[at // len(LINES) % len(_DASHES)]
            _draw(axes, _series(of_places), LINES[at % len(LINES)], style, name)
        for name, level in levels.get(metric, {}).items():
            axes.axhline(level, color=FAINT, linewidth=1.1, linestyle="--", label=name)
        _finish(axes, metric, along)
    drawn = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        drawn.values(), [one_line(label, _MOST_LETTERS) for label in drawn], fontsize=_FONT,
        frameon=False, labelcolor=INK, loc="center right",
    )  # fmt: skip
    return figure


def _series(
    of_places: Mapping[float | int, Sequence[float]],
) -> list[tuple[float, float, float, float]]:
    """(place, mean, least, most) of each place with numbers, all of them finite, in order."""
    finite = {x: ys for x, ys in of_places.items() if len(ys) and np.isfinite(ys).all()}
    return [
        (float(x), float(np.mean(finite[x])), float(min(finite[x])), float(max(finite[x])))
        for x in sorted(finite)
    ]


def _draw(axes: Axes, series: list, colour: str, style: str, name: str) -> None:
    if series:
        x, mean, least, most = np.array(series).T
        marker = "o" if len(x) <= 30 else None
        axes.plot(
            x, mean, color=colour, linestyle=style, linewidth=1.4, marker=marker, markersize=3,
            label=name,
        )  # fmt: skip
        axes.fill_between(x, least, most, color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, metric: str, along: str) -> None:
    axes.set_title(metric, fontsize=9, color=INK, loc="left", parse_math=False)
    axes.set_xlabel(along, fontsize=_FONT, color=INK, parse_math=False)
    plain_axes(axes)
    axes.margins(x=0.03, y=0.08)
