"""How the weights of each leaf are distributed."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import FAINT, INK, LINES, add_axes, new_figure
from maskjax.evaluation.figures.letters import one_line

_COLUMNS, _WIDTH, _HEIGHT = 4, 2.2, 1.25  # inches
_GAP, _TOP = 0.3, 0.35
_BINS = 61


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
            f"{one_line(path[-34:], 34)}\n{(leaf == 0).mean():.1%} zero",
            fontsize=6.5, color=INK, loc="left", parse_math=False,
        )  # fmt: skip
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(labelsize=6, colors=INK, length=2, width=0.6)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(FAINT)
    return figure
