"""How the weights of each leaf are distributed, and when its masks changed."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import FAINT, INK, LINES, add_axes, new_figure
from maskjax.evaluation.figures.letters import fitting, one_line, width_of

_COLUMNS, _WIDTH, _HEIGHT = 4, 2.2, 1.25  # inches
_GAP, _TOP = 0.3, 0.35
_BINS = 61
_ROW, _MOST_LETTERS = 0.16, 48


def weight_histograms(weights: Mapping[str, np.ndarray]) -> Figure:
    """Draw a histogram of each leaf, of what is not zero, with the share of zeros above it.

    Args:
        weights: leaves by path; what is not finite is left out.

    Returns:
        The figure.

    Raises:
        ValueError: no leaf.
    """
    if not weights:
        raise ValueError("weights must hold at least one leaf")
    rows = -(-len(weights) // _COLUMNS)
    columns = min(_COLUMNS, len(weights))
    figure = new_figure(0.3 + columns * (_WIDTH + _GAP), 0.2 + rows * (_HEIGHT + _TOP + _GAP))
    for number, (path, leaf) in enumerate(weights.items()):
        row, column = divmod(number, _COLUMNS)
        axes = add_axes(
            figure, 0.25 + column * (_WIDTH + _GAP), _TOP + row * (_HEIGHT + _TOP + _GAP),
            _WIDTH, _HEIGHT,
        )  # fmt: skip
        values = leaf[np.isfinite(leaf) & (leaf != 0)]
        axes.hist(values, bins=_BINS, color=LINES[0])
        axes.set_title(
            f"{fitting(path, 6.5, _WIDTH + 0.8 * _GAP)}\n{(leaf == 0).mean():.1%} zero",
            fontsize=6.5, color=INK, loc="left", parse_math=False,
        )  # fmt: skip
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(labelsize=6, colors=INK, length=2, width=0.6)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(FAINT)
    return figure


def change_map(changes: Mapping[str, Mapping[int, float]]) -> Figure:
    """Draw a row a leaf and a column a step: what share of its mask changed up to there.

    Args:
        changes: {path: {step: share}}; a step that a leaf lacks stays white.

    Returns:
        The figure; the darkest is the largest share of all.

    Raises:
        ValueError: no leaf.
    """
    if not changes:
        raise ValueError("changes must hold at least one leaf")
    steps = sorted({step for shares in changes.values() for step in shares})
    rows = np.array([[each.get(step, np.nan) for step in steps] for each in changes.values()])
    names = [one_line(path, _MOST_LETTERS) for path in changes]
    left = 0.3 + max(width_of(name, 7) for name in names)
    height = _ROW * len(names)
    figure = new_figure(left + 5.3, height + 1.3)
    highest = np.nanmax(rows, initial=0.0)
    axes = add_axes(figure, left, 0.45, 5.0, height)
    axes.imshow(
        rows, cmap="Blues", vmin=0, vmax=highest or 1, interpolation="nearest", aspect="auto"
    )
    title = f"Share of each mask that changed since the line before, up to {highest:.2%}"
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_yticks(range(len(names)), names, parse_math=False)
    shown = np.unique(np.linspace(0, len(steps) - 1, 6).round().astype(int))
    axes.set_xticks(shown, [str(steps[place]) for place in shown])
    axes.set_xlabel("step", fontsize=8, color=INK)
    axes.tick_params(labelsize=7, colors=INK, length=0)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    return figure
