"""Sheets that show masks on what is no picture: tokens and items, matrices and spectrograms."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from maskjax.evaluation.checks import AnyArray
from maskjax.evaluation.figures.canvas import (
    EDGE,
    FAINT,
    HIDDEN,
    INK,
    fitted,
    show_image,
)
from maskjax.evaluation.figures.letters import literal
from maskjax.evaluation.figures.tiles import VEIL, Block, hidden_count, tiled_figure, veiled
from maskjax.typing import Bool, Float

_LINE = 0.2
_CHARACTER = 0.064
_PADDING = 0.09
_BETWEEN = 0.035
# How much of an item's own colour its box shows: letters must stay readable on it.
_TINT = 0.42


def picture_sheet(
    pictures: Mapping[str, AnyArray | str],
    *,
    counts: Mapping[str, str] | None = None,
    side: int | float = 1.5,
    num_columns: int = 2,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw what was made of a picture in several ways.

    Args:
        pictures: For each name its pictures, floats in [0, 1] [B, H, W, 3], all of one size; or a
            text that says why there are none.
        counts: What to write beside a name.
        side: The longer side of a picture in inches.
        num_columns: Of blocks.
        notes: What the reader must know.

    Returns:
        The figure: a block of B pictures a name.

    Raises:
        ValueError: There is no picture, or they differ in size.
    """
    drawn = {name: np.asarray(x) for name, x in pictures.items() if not isinstance(x, str)}
    sizes = {x.shape[1:] for x in drawn.values()}
    if len(sizes) != 1 or any(x.ndim != 4 or x.shape[-1] != 3 for x in drawn.values()):
        raise ValueError(f"pictures must be [B, H, W, 3] of one size, got {sorted(sizes)}")
    blocks = {}
    for name, x in pictures.items():
        if isinstance(x, str):
            blocks[name] = Block((), problem=x)
        else:
            tiles = [functools.partial(show_image, rgb=np.clip(one, 0, 1)) for one in drawn[name]]
            blocks[name] = Block(tiles, (counts or {}).get(name, ""))
    ((height, width, _),) = sizes
    return tiled_figure(blocks, *fitted(width, height, side), num_columns=num_columns, notes=notes)


def token_sheet(
    tokens: Sequence[str],
    hidden: Mapping[str, AnyArray | str],
    *,
    is_real: Bool[np.ndarray, "L"] | None = None,
    colors: Sequence[str] | None = None,
    num_columns: int = 1,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw tokens, or the items of a history, in a line of boxes; hidden ones are veiled.

    Args:
        tokens: A short text for each position.
        hidden: For each rule's name its masks, bool [B, L], True is hidden; or a text that says why
            there are none.
        is_real: False for special tokens and padding, which have no box.
        colors: A colour for each position; the boxes are white otherwise.
        num_columns: Of blocks.
        notes: What the reader must know.

    Returns:
        The figure: a block of B lines a rule.

    Raises:
        ValueError: There is no rule, or masks are not bool [B, L].
    """
    is_real = np.ones(len(tokens), bool) if is_real is None else is_real
    tokens = [literal(token)["s"] for token in tokens]
    tints = [_mixed(color, "white", _TINT) for color in colors or ["white"] * len(tokens)]
    widths = [_CHARACTER * len(token) + _PADDING for token in tokens]
    width = sum(widths) + _BETWEEN * (len(tokens) - 1)

    def draw(axes: Axes, is_masked: Bool[np.ndarray, "L"]) -> None:
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(0, _LINE)
        left = 0.0
        for i, token in enumerate(tokens):
            if is_real[i]:
                _draw_box(axes, left, widths[i], tints[i], bool(is_masked[i]))
            hue = _mixed(INK, HIDDEN, 2 * VEIL) if is_masked[i] else INK if is_real[i] else FAINT
            style = {"fontsize": 7, "color": hue, "ha": "center", "va": "center"}
            text = literal(token, "monospace")
            axes.text(left + widths[i] / 2, _LINE / 2, **text, **style)
            left += widths[i] + _BETWEEN

    blocks = {}
    for name, is_masked in _checked(hidden, (len(tokens),)).items():
        if isinstance(is_masked, str):
            blocks[name] = Block((), problem=is_masked)
        else:
            tiles = [functools.partial(draw, is_masked=row) for row in is_masked]
            blocks[name] = Block(tiles, _real_count(is_masked, is_real))
    return tiled_figure(blocks, width, _LINE, num_columns=num_columns, stacked=True, notes=notes)


def matrix_sheet(
    matrix: Float[np.ndarray, "rows columns"],
    hidden: Mapping[str, AnyArray | str],
    *,
    colormap: str = "viridis",
    limits: tuple[int | float, int | float] | None = None,
    size: tuple[int | float, int | float] = (2.2, 2.2),
    num_columns: int = 2,
    flowing: bool = False,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw a matrix (weights, an attention map, a spectrogram) in colours; hidden cells are veiled.

    Args:
        matrix: The numbers; the first row is drawn on top.
        hidden: For each rule's name its masks, bool [B, rows, columns], True is hidden; or a text
            that says why there are none.
        colormap: Of matplotlib.
        limits: The numbers of its first and last colour; those of the matrix otherwise.
        size: Width and height of a tile in inches.
        num_columns: Of blocks.
        flowing: Blocks take the room of their tiles, without counts, and follow as words do.
        notes: What the reader must know.

    Returns:
        The figure: a block of B tiles a rule.

    Raises:
        ValueError: There is no rule, or masks are not bool [B, rows, columns].
    """
    low, high = limits or (float(matrix.min()), float(matrix.max()))
    rgb = colormaps[colormap]((matrix - low) / max(high - low, 1e-12))[..., :3]

    def draw(axes: Axes, is_masked: Bool[np.ndarray, "rows columns"]) -> None:
        show_image(axes, veiled(rgb, is_masked))
        axes.set_aspect("auto")

    blocks = {}
    for name, is_masked in _checked(hidden, matrix.shape).items():
        if isinstance(is_masked, str):
            blocks[name] = Block((), problem=is_masked)
        else:
            tiles = [functools.partial(draw, is_masked=one) for one in is_masked]
            blocks[name] = Block(tiles, "" if flowing else hidden_count(is_masked))
    return tiled_figure(blocks, *size, num_columns=num_columns, flowing=flowing, notes=notes)


def _checked(
    hidden: Mapping[str, AnyArray | str], shape: tuple[int, ...]
) -> dict[str, Bool[np.ndarray, "B ..."] | str]:
    """The masks as NumPy flags of this shape, once they are."""
    if not hidden:
        raise ValueError("there is no masking rule to draw")
    checked = {}
    for name, flags in hidden.items():
        checked[name] = flags = flags if isinstance(flags, str) else np.asarray(flags)
        if not isinstance(flags, str) and (flags.dtype != bool or flags.shape[1:] != shape):
            raise ValueError(
                f"the masks of {name!r} must be bool, one row of {shape} a sample; got "
                f"{flags.dtype} {flags.shape}"
            )
    return checked


def _real_count(is_masked: Bool[np.ndarray, "B L"], is_real: Bool[np.ndarray, "L"]) -> str:
    """Counts among real positions, unless others are hidden, which must be seen then."""
    return hidden_count(is_masked if is_masked[:, ~is_real].any() else is_masked[:, is_real])


def _draw_box(
    axes: Axes, left: float, width: float, tint: tuple[float, ...], is_hidden: bool
) -> None:
    face = _mixed(tint, HIDDEN, VEIL) if is_hidden else tint
    edge = HIDDEN if is_hidden else EDGE
    inset = 0.012
    axes.add_patch(
        FancyBboxPatch(
            (left + inset, inset),
            width - 2 * inset,
            _LINE - 2 * inset,
            boxstyle="round,pad=0,rounding_size=0.04",
            facecolor=face,
            edgecolor=edge,
            linewidth=0.7,
        )
    )


def _mixed(first, second, share: float) -> tuple[float, ...]:
    """`share` of the first colour in the second."""
    pairs = zip(to_rgb(first), to_rgb(second))
    return tuple(share * a + (1 - share) * b for a, b in pairs)
