"""The layout of sheets: named blocks of equal tiles, and an explanation where there is no tile."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import (
    EDGE,
    FAINT,
    HIDDEN,
    MARGIN,
    NOTE_LINE,
    add_axes,
    add_note,
    add_text,
    new_figure,
    wrapped_note,
)
from maskjax.evaluation.figures.letters import literal
from maskjax.typing import Bool, Float

# What is hidden lets this share of its colours through, so that one sees what a rule covers.
VEIL = 0.15
_HEADING = 0.27
# Inches that a letter of a heading takes, spaces included.
_HEADING_CHARACTER = 0.08
_SMALL_CHARACTER = 0.062
_GAP = 0.06
_BLOCK_GAP = 0.3
_COUNTABLE = 1000


class Block(NamedTuple):
    """What a sheet shows under one name.

    Attributes:
        tiles: Functions that draw one tile each.
        count: Beside the name, in small letters.
        problem: Why there is no tile; drawn in place of one.
    """

    tiles: Sequence[Callable[[Axes], None]]
    count: str = ""
    problem: str = ""


def tiled_figure(
    blocks: Mapping[str, Block],
    width: float,
    height: float,
    *,
    num_columns: int = 2,
    stacked: bool = False,
    flowing: bool = False,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw blocks of tiles in reading order, each under its name.

    Args:
        blocks: What to draw under each name, at least one.
        width: Of a tile, in inches.
        height: Of a tile, in inches.
        num_columns: Of blocks; one block takes one column.
        stacked: The tiles of a block below each other rather than side by side.
        flowing: Blocks of fewer tiles take less room and follow each other as words do;
            `num_columns` is then how many of the widest fill a line.
        notes: Sentences below all, wrapped to the figure.

    Returns:
        The figure: an axes a tile, or one where a block has a problem.
    """
    num_columns = min(num_columns, len(blocks))
    most = max(1, *(len(block.tiles) for block in blocks.values()))
    widths = {name: _block_width(name, block, width, stacked) for name, block in blocks.items()}
    widest = max(widths.values())
    if not flowing:
        widths = dict.fromkeys(widths, widest)
    line = num_columns * (widest + _BLOCK_GAP) - _BLOCK_GAP
    block_height = _HEADING + (most if stacked else 1) * (height + _GAP) - _GAP
    places = _places(widths, line, block_height + 0.1)
    lines = wrapped_note(list(notes), line)
    bottom = 0.08 + max(top for _, top in places.values()) + block_height
    note_height = 0.12 + NOTE_LINE * len(lines) if lines else 0
    figure = new_figure(line + 2 * MARGIN, bottom + note_height + MARGIN)
    for name, block in blocks.items():
        left, top = places[name][0] + MARGIN, places[name][1] + 0.08
        _add_heading(figure, name, block, left, top + _HEADING - 0.06, widths[name])
        top += _HEADING
        if block.problem:
            axes = add_axes(figure, left, top, widths[name], block_height - _HEADING)
            _draw_problem(axes, block.problem, widths[name])
        for place, draw in enumerate(block.tiles):
            right, down = (0, place) if stacked else (place, 0)
            tile_left, tile_top = left + right * (width + _GAP), top + down * (height + _GAP)
            draw(add_axes(figure, tile_left, tile_top, width, height))
    add_note(figure, lines)
    return figure


def _block_width(name: str, block: Block, width: float, stacked: bool) -> float:
    """Room for the tiles and for the heading above them."""
    across = 1 if stacked else max(1, len(block.tiles))
    return max(across * (width + _GAP) - _GAP, _HEADING_CHARACTER * len(name + block.count))


def _places(
    widths: Mapping[str, float], line: float, line_height: float
) -> dict[str, tuple[float, float]]:
    """Left and top of each block: side by side as long as the line has room."""
    places, left, top = {}, 0.0, 0.0
    for name, width in widths.items():
        if left > 0 and left + width > line + 1e-6:
            left, top = 0.0, top + line_height
        places[name] = (left, top)
        left += width + _BLOCK_GAP
    return places


def _add_heading(
    figure: Figure, name: str, block: Block, left: float, top: float, width: float
) -> None:
    """Write the name at the left and the count at the right end of a line."""
    add_text(figure, left, top, name, va="bottom", weight="bold")
    if block.count:
        small = {"va": "bottom", "ha": "right", "color": FAINT, "fontsize": 8}
        add_text(figure, left + width, top, block.count, **small)


def _draw_problem(axes: Axes, problem: str, width: float) -> None:
    """Write why there is nothing to see into a dashed frame."""
    text = textwrap.fill(problem, max(16, int((width - 0.2) / _SMALL_CHARACTER)))
    style = {"ha": "center", "va": "center", "fontsize": 7.5, "color": FAINT}
    axes.text(0.5, 0.5, **literal(text), **style, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(EDGE)
        spine.set_linewidth(0.8)
        spine.set_linestyle((0, (4, 3)))


def hidden_count(is_masked: Bool[np.ndarray, "B *grid"]) -> str:
    """Say how many positions are hidden in each sample: numbers, or shares of very many."""
    counts = is_masked.reshape(len(is_masked), -1).sum(axis=1)
    length = is_masked[0].size
    if length > _COUNTABLE:
        low, high = (f"{count / length:.0%}" for count in (counts.min(), counts.max()))
        return f"{low} hidden" if low == high else f"{low} to {high} hidden"
    hidden = str(counts[0]) if np.ptp(counts) == 0 else f"{counts.min()} to {counts.max()}"
    return f"{hidden} of {length} hidden"


def veiled(
    rgb: Float[np.ndarray, "H W 3"], is_hidden: Bool[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W 3"]:
    """Lay the colour of the hidden over hidden pixels."""
    veil = VEIL * rgb + (1 - VEIL) * np.asarray(HIDDEN, rgb.dtype)
    return np.where(is_hidden[..., None], veil, rgb)
