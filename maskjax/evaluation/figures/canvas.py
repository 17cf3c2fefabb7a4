"""What every figure shares: paper, ink, exact placement in inches, and safe saving."""

import os
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from maskjax.evaluation.figures.letters import literal
from maskjax.paths import atomic_file
from maskjax.typing import Float, Shaped

DPI = 150
INK = "#1f2933"
FAINT = "#6b7280"
EDGE = "#c5cad3"
# No grey: it must not be mistaken for a part of a grey picture.
HIDDEN = (0.73, 0.78, 0.88)
# What a prediction fades to where it was never asked for; no grey either.
FADED = (0.97, 0.92, 0.8)
BROKEN = (1.0, 0.0, 1.0)
_DARK = 0.25  # of pictures that end below this one sees next to nothing
# Okabe and Ito's colours, which stay apart under colour blindness.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

MARGIN = 0.15
NOTE_LINE = 0.15
_NOTE_CHARACTERS_PER_INCH = 16.5


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of this size in inches, on a canvas of its own."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Place axes by the distance of their upper left corner from the figure's, in inches."""
    full_width, full_height = figure.get_size_inches()
    bottom = full_height - top - height
    return figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )


def add_text(figure: Figure, left: float, top: float, text: str, **style) -> None:
    """Write text at a distance from the figure's upper left corner, in inches."""
    width, height = figure.get_size_inches()
    style = {"fontsize": 9, "color": INK, "va": "top", "ha": "left", **style}
    figure.text(left / width, 1 - top / height, **literal(text), **style)


def plain_axes(axes: Axes) -> None:
    """Give axes of numbers a faint grid, and lines at the left and below alone."""
    axes.tick_params(labelsize=8, colors=INK, length=3, width=0.6)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(8)  # the "1e6" of large numbers
    axes.grid(color=EDGE, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.6)
        spine.set_color(FAINT)


def wrapped_note(notes: list[str], width: float) -> list[str]:
    """Break notes into lines that fit this width in inches at the size of `add_note`."""
    characters = max(20, int(width * _NOTE_CHARACTERS_PER_INCH))
    return [line for note in notes for line in textwrap.wrap(note, characters)]


def add_note(figure: Figure, lines: list[str]) -> None:
    """Write small lines along the lower edge; the figure must have left room for them."""
    top = figure.get_size_inches()[1] - MARGIN - NOTE_LINE * len(lines)
    for i, line in enumerate(lines):
        add_text(figure, MARGIN, top + NOTE_LINE * i, line, fontsize=7.5, color=FAINT)


def show_image(axes: Axes, rgb: Float[np.ndarray, "H W 3"]) -> None:
    """Draw a picture without ticks in a thin frame."""
    axes.imshow(rgb)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(EDGE)
        spine.set_linewidth(0.6)


def fitted(width: int, height: int, side: float) -> tuple[float, float]:
    """Scale a picture's sides so that the longer is `side` inches and the shorter is visible."""
    longer = max(width, height)
    return max(0.2, side * width / longer), max(0.2, side * height / longer)


def displayed(
    x: Float[np.ndarray, "*s C"], missing: tuple[float, float, float] = BROKEN
) -> Float[np.ndarray, "*s 3"]:
    """Turn values into colours in [0, 1], and what is not finite into the colour `missing`.

    One channel is grey, three are RGB; two are shown as their mean, more as the first three.
    """
    channels = x.shape[-1]
    if channels == 2:
        x = x.mean(axis=-1, keepdims=True)
    shown = np.broadcast_to(x[..., :3], (*x.shape[:-1], 3))
    is_shown = np.isfinite(shown).all(axis=-1, keepdims=True)
    return np.where(is_shown, np.clip(shown, 0, 1), np.asarray(missing, x.dtype))


def white_point(x: Float[np.ndarray, "*s C"]) -> float:
    """Say which number to show as white: 1, or the brightest where all is too dark to see.

    Such are numbers of 12 bits stored in 16, which end at 0.06. A thousandth of the values may be
    brighter, as a camera's hot pixels are.
    """
    shown = x[..., :3]
    shown = shown[np.isfinite(shown)]
    brightest = float(np.quantile(shown, 0.999)) if shown.size else 1.0
    return brightest if 0 < brightest < _DARK else 1.0


def brightness_note(white: float) -> list[str]:
    """Say what `white_point` chose where it is not 1."""
    return [] if white == 1 else [f"Brightened: white stands for {white:.2g}, where 1 is full."]


def channel_note(channels: int) -> list[str]:
    """Say how `displayed` treats this number of channels where that is not obvious."""
    if channels in (1, 3):
        return []
    shown = "their mean" if channels == 2 else "channels 0 to 2 as red, green, blue"
    return [f"Of {channels} channels: {shown}."]


def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure so that the file is whole at every moment.

    Args:
        figure: What to write.
        path: Where; its suffix names the format (.png, .pdf, .svg). Missing folders are made.

    Raises:
        ValueError: The suffix is no format that matplotlib writes.
    """
    path = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise ValueError(f"cannot tell a figure format from {path.name!r}; use {sorted(formats)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, "wb") as file:
        figure.savefig(file, format=path.suffix[1:].lower())


def figure_pixels(figure: Figure) -> Shaped[np.ndarray, "H W 3"]:
    """Render a figure to the pixels that its PNG would hold.

    Args:
        figure: What to render.

    Returns:
        uint8 RGB, [H, W, 3]; what tensorboard's `add_image(..., dataformats="HWC")` takes.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
