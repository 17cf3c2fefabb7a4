"""Panels that show what a masked autoencoder saw and what it made of it."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from maskjax.evaluation.checks import AnyArray
from maskjax.evaluation.figures.canvas import (
    FADED,
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
from maskjax.evaluation.figures.letters import literal, one_line, width_of
from maskjax.typing import Bool, Float

TITLES = ("original", "seen by the model", "prediction", "prediction + visible part")
_ARGUMENTS = ("original", "seen", "prediction", "pasted")
_TITLE = 0.3
_GAP = 0.08
_TITLE_SIZE = 9  # points
_LABEL_SIZE = 8
_LABEL_LETTERS = 40
# How much of the prediction shows where it was never asked for.
_DIMMED = 0.2
_DIMMED_NOTE = "Dimmed in the prediction: what the model saw, for which the loss never asks."


def reconstruction_panel(
    original: AnyArray,
    seen: AnyArray,
    prediction: AnyArray,
    pasted: AnyArray,
    *,
    is_hidden: AnyArray | None = None,
    dim_visible: bool = True,
    labels: Sequence[str] | None = None,
    titles: Sequence[str] = TITLES,
    note: str | None = None,
    num_slices: int = 4,
) -> Figure:
    """Draw one row an example: original, what the model saw, prediction, prediction pasted.

    The layout of figures 2 and 3 of He et al. 2022 (MAE), for inputs of three ranks. Images are
    shown in [0, 1], clipped; dark ones are brightened together, and the figure says so. Signals are
    drawn as curves, a line a channel, on one scale a row; hidden spans are shaded. Predictions of
    what was visible are dimmed, and the figure says why. Volumes and videos are drawn as evenly
    spaced slices along their first axis. Of two channels the mean is shown, of more than three the
    first three, and the figure says so.

    Args:
        original: Floats [N, *shape]; shape is [T, C], [H, W, C] or [T, H, W, C], and image
            values are in [0, 1].
        seen: Floats [N, *shape], NaN where the model received nothing.
        prediction: Floats [N, *shape].
        pasted: Floats [N, *shape], the prediction where hidden and the original elsewhere.
        is_hidden: Bools [N, *shape]; None where `seen` is NaN wherever it is hidden.
        dim_visible: False where the loss counts visible parts too.
        labels: What to write beside each row, N texts; long ones are shortened.
        titles: What to write above the four columns.
        note: What the reader must know, such as that predictions of normalised patches were
            scaled back with each original patch's own mean and variance.
        num_slices: How many slices of a volume to show.

    Returns:
        The figure.

    Raises:
        ValueError: There is no example, shapes (that of `is_hidden` too) differ or have another
            rank, an array holds no floats, or the numbers of labels, titles or slices do not fit.
    """
    columns = _checked_columns(original, seen, prediction, pasted)
    num_examples, *shape = columns[0].shape
    hidden = np.isnan(columns[1]) if is_hidden is None else np.asarray(is_hidden, bool)
    if hidden.shape != columns[0].shape:
        raise ValueError(
            f"is_hidden has shape {hidden.shape} where original has {columns[0].shape}"
        )
    if labels is not None and len(labels) != num_examples:
        raise ValueError(f"{num_examples} examples need as many labels, got {len(labels)}")
    if len(titles) != len(columns):
        raise ValueError(f"4 columns need as many titles, got {len(titles)}")
    if num_slices < 1:
        raise ValueError(f"num_slices must be at least 1, got {num_slices}")
    notes = [_DIMMED_NOTE] * dim_visible + ([note] if note else [])
    if not all(np.isfinite(column).all() for column in (columns[0], *columns[2:])):
        notes.append("Magenta, in curves a gap: no data, or a number that is not finite.")
    if any(literal(label)["s"] != label for label in labels or ()):
        notes.append("Letters of names that no font at hand has are written as their codes.")
    hidden = np.asarray(hidden.any(axis=-1))
    white = 1.0 if len(shape) == 2 else white_point(columns[0])
    columns = [column / column.dtype.type(white) for column in columns]
    notes += brightness_note(white)
    if len(shape) == 2:
        return _draw_curves(columns, hidden, dim_visible, labels, titles, notes)
    colours = _painted(columns, hidden, dim_visible)
    notes += channel_note(shape[-1])
    if len(shape) == 3:
        return _draw_images(colours, labels, titles, notes)
    return _draw_slices(colours, labels, titles, notes, num_slices)


def _checked_columns(*arrays: AnyArray) -> list[Float[np.ndarray, "N ..."]]:
    """Return the four arrays as NumPy floats of one shape."""
    columns = [np.asarray(array) for array in arrays]
    for name, column in zip(_ARGUMENTS, columns, strict=True):
        if column.shape != columns[0].shape:
            raise ValueError(
                f"{name} has shape {column.shape} where original has {columns[0].shape}"
            )
        if column.dtype.kind != "f":
            raise ValueError(f"{name} must hold floats (images in [0, 1]), got {column.dtype}")
    if columns[0].ndim not in (3, 4, 5):
        raise ValueError(
            "examples must be signals [T, C], images [H, W, C] or volumes [T, H, W, C]; original "
            f"has shape {columns[0].shape}, the number of examples first"
        )
    if 0 in columns[0].shape:
        raise ValueError(f"there is nothing to draw in shape {columns[0].shape}")
    return columns


def _painted(
    columns, hidden: Bool[np.ndarray, "N *spatial"], dim_visible: bool
) -> list[Float[np.ndarray, "N *spatial 3"]]:
    """The columns in the colours that they are drawn in."""
    original, seen, prediction, pasted = columns
    prediction = displayed(prediction)
    if dim_visible:
        dimmed = _DIMMED * prediction + (1 - _DIMMED) * np.asarray(FADED, prediction.dtype)
        prediction = np.where(hidden[..., None], prediction, dimmed)
    return [displayed(original), displayed(seen, HIDDEN), prediction, displayed(pasted)]


def _lay_out(
    cell: tuple[float, float],
    num_rows: int,
    labels: Sequence[str] | None,
    titles: Sequence[str],
    notes: list[str],
    *,
    left: float = 0.0,
    top: float = 0.0,
    bottom: float = 0.0,
    gap: float = _GAP,
) -> tuple[Figure, Callable[[int, int], tuple[float, float]]]:
    """Make a figure of rows and titled columns, and the function that gives a cell's corner.

    `left`, `top` and `bottom` are inches around the cells for what a kind of panel adds there.
    """
    inside, height = cell
    width = max(inside, *(width_of(title, _TITLE_SIZE) for title in titles))
    labels = [one_line(label, _LABEL_LETTERS) for label in labels or ()]
    label_end = MARGIN + max((width_of(label, _LABEL_SIZE) for label in labels), default=0)
    left += label_end + (_GAP if labels else 0)
    top += _TITLE
    full_width = left + len(titles) * width + (len(titles) - 1) * gap + MARGIN
    lines = wrapped_note(notes, full_width - 2 * MARGIN)
    below = bottom + MARGIN + (NOTE_LINE * len(lines) + 0.08 if lines else 0)
    figure = new_figure(full_width, top + num_rows * height + (num_rows - 1) * _GAP + below)

    def corner(row: int, column: int) -> tuple[float, float]:
        beside = (width - inside) / 2
        return left + column * (width + gap) + beside, top + row * (height + _GAP)

    for column, title in enumerate(titles):
        middle = corner(0, column)[0] + inside / 2
        style = {"va": "bottom", "ha": "center", "fontsize": _TITLE_SIZE}
        add_text(figure, middle, _TITLE - 0.07, title, **style)
    for row, label in enumerate(labels):
        middle = corner(row, 0)[1] + height / 2
        style = {"va": "center", "ha": "right", "fontsize": _LABEL_SIZE}
        add_text(figure, label_end, middle, label, **style)
    add_note(figure, lines)
    return figure, corner


def _draw_images(columns, labels, titles, notes) -> Figure:
    """Draw colours [N, H, W, 3]."""
    num_examples, image_height, image_width, _ = columns[0].shape
    width, height = fitted(image_width, image_height, 1.6)
    figure, corner = _lay_out((width, height), num_examples, labels, titles, notes)
    for row in range(num_examples):
        for column, images in enumerate(columns):
            axes = add_axes(figure, *corner(row, column), width, height)
            show_image(axes, images[row])
    return figure


def _draw_slices(columns, labels, titles, notes, num_slices: int) -> Figure:
    """Draw some [H, W, 3] of colours [N, T, H, W, 3], side by side in each cell."""
    num_examples, length, image_height, image_width, _ = columns[0].shape
    indices = np.linspace(0, length - 1, min(num_slices, length)).round().astype(int)
    width, height = fitted(image_width, image_height, 0.8)
    inner = 0.03
    cell = (len(indices) * (width + inner) - inner, height)
    shown = ", ".join(map(str, indices))
    notes = [*notes, f"Slices {shown} of 0 to {length - 1} along the first axis."]
    figure, corner = _lay_out(cell, num_examples, labels, titles, notes, top=0.14, gap=0.2)
    for row in range(num_examples):
        for column, volumes in enumerate(columns):
            left, top = corner(row, column)
            for place, index in enumerate(indices):
                axes = add_axes(figure, left + place * (width + inner), top, width, height)
                show_image(axes, volumes[row, index])
                if row == 0:
                    axes.set_title(str(index), fontsize=7, color=FAINT, pad=2)
    return figure


def _draw_curves(columns, hidden, dim_visible, labels, titles, notes) -> Figure:
    """Draw [N, T, C], a line a channel; `hidden` is [N, T]."""
    num_examples, length, channels = columns[0].shape
    cell = (2.5, 1.15)
    notes = [*notes, "Shaded: hidden from the model. Dotted: the original."]
    if channels > 1:
        notes.append(_channel_colours(channels))
    figure, corner = _lay_out(
        cell, num_examples, labels, titles, notes, left=0.42, bottom=0.36, gap=0.12
    )
    for row in range(num_examples):
        first = None
        for column, signals in enumerate(columns):
            axes = add_axes(figure, *corner(row, column), *cell)
            if first is None:
                first = axes
            else:
                axes.sharey(first)
            if column == 2:
                axes.plot(columns[0][row], color=FAINT, linewidth=0.7, linestyle=":")
            signal, is_hidden = signals[row], hidden[row]
            if column == 2 and dim_visible:
                _draw_lines(axes, signal, alpha=_DIMMED)
                signal = np.where(is_hidden[:, None], signal, np.nan)
            _draw_signal(axes, signal, is_hidden & (column > 0))
            axes.set_xlim(-0.5, length - 0.5)
            axes.tick_params(labelleft=column == 0, labelbottom=row == num_examples - 1)
            if row == num_examples - 1:
                axes.set_xlabel("position", fontsize=8, color=INK, labelpad=2)
    return figure


def _draw_signal(
    axes: Axes, signal: Float[np.ndarray, "T C"], is_hidden: Bool[np.ndarray, "T"]
) -> None:
    """Draw one signal's channels, and shade where it was hidden."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_hidden, [False]])))
    for start, stop in edges.reshape(-1, 2):
        axes.axvspan(start - 0.5, stop - 0.5, color=HIDDEN, alpha=0.55, linewidth=0)
    _draw_lines(axes, signal)
    axes.tick_params(labelsize=7, colors=INK, length=2, width=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.6)


def _draw_lines(axes: Axes, signal: Float[np.ndarray, "T C"], alpha: float = 1.0) -> None:
    """Draw a signal's channels, and a point where one stands alone."""
    is_drawn = np.asarray(np.isfinite(signal).all(axis=-1))
    is_alone = is_drawn & ~np.append(False, is_drawn[:-1]) & ~np.append(is_drawn[1:], False)
    for channel in range(signal.shape[-1]):
        axes.plot(
            signal[:, channel],
            color=LINES[channel % len(LINES)],
            linewidth=0.9,
            marker=".",
            markersize=2.5,
            markevery=list(np.flatnonzero(is_alone)),  # a line needs two points to be seen
            alpha=alpha,
        )


def _channel_colours(channels: int) -> str:
    """Name the colours of a signal's channels."""
    names = ("blue", "orange", "green", "pink", "yellow", "light blue")
    shown = ", ".join(f"{i} {name}" for i, name in enumerate(names[:channels]))
    return f"Channels: {shown}{', and so on in turn' if channels > len(names) else ''}."
