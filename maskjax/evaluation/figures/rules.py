"""A sheet that shows masking rules on one picture."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from maskjax.evaluation.figures.canvas import (
    FAINT,
    HIDDEN,
    MARGIN,
    AnyArray,
    add_axes,
    add_note,
    add_text,
    channel_note,
    displayed,
    fitted,
    new_figure,
    show_image,
    wrapped_note,
)
from maskjax.typing import Bool, Float

# Hidden patches let this share of the picture through, so that one sees what a rule covers.
_VEIL = 0.15
_HEADING = 0.27
# Inches that a letter of a heading takes, spaces included.
_HEADING_CHARACTER = 0.08
_GAP = 0.06
_BLOCK_GAP = 0.3


def rule_sheet(
    image: AnyArray, masks: Mapping[str, AnyArray], patch_size: tuple[int, int]
) -> Figure:
    """Draw several masks of every rule on one picture, with the number of hidden patches.

    Visible patches keep their colours; hidden ones show through a veil.

    Args:
        image: Floats in [0, 1], [H, W, C].
        masks: For each rule's name its masks, bool [S, gh, gw] or, for one, [gh, gw]; True is
            hidden.
        patch_size: The height and width of a patch; H = gh * height and W = gw * width.

    Returns:
        The figure: a block of S pictures a rule, in two columns of blocks.

    Raises:
        ValueError: There is no rule, a shape does not fit the picture, the picture holds no
            floats, or masks are not bool.
    """
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.dtype.kind != "f" or 0 in picture.shape:
        raise ValueError(
            f"the picture must be floats [H, W, C], got {picture.dtype} {picture.shape}"
        )
    if not masks:
        raise ValueError("there is no masking rule to draw")
    blocks = {name: _checked(name, mask, picture, patch_size) for name, mask in masks.items()}

    num_columns = 1 if len(blocks) == 1 else 2
    num_rows = -(-len(blocks) // num_columns)
    most = max(len(is_masked) for is_masked in blocks.values())
    width, height = fitted(picture.shape[1], picture.shape[0], 1.15)
    headings = (_HEADING_CHARACTER * len(name + _count(mask)) for name, mask in blocks.items())
    block_width = max(most * (width + _GAP) - _GAP, *headings)
    block_height = _HEADING + height
    full_width = 2 * MARGIN + num_columns * (block_width + _BLOCK_GAP) - _BLOCK_GAP
    notes = wrapped_note(channel_note(picture.shape[-1]), full_width - 2 * MARGIN)
    full_height = num_rows * (block_height + 0.1) + MARGIN + 0.2 * len(notes)
    figure = new_figure(full_width, full_height)
    for number, (name, is_masked) in enumerate(blocks.items()):
        row, column = divmod(number, num_columns)
        left = MARGIN + column * (block_width + _BLOCK_GAP)
        top = 0.08 + row * (block_height + 0.1)
        add_text(figure, left, top + _HEADING - 0.06, name, va="bottom", weight="bold")
        add_text(
            figure,
            left + block_width,
            top + _HEADING - 0.06,
            _count(is_masked),
            va="bottom",
            ha="right",
            color=FAINT,
            fontsize=8,
        )
        for place, one in enumerate(is_masked):
            tile_left = left + place * (width + _GAP)
            axes = add_axes(figure, tile_left, top + _HEADING, width, height)
            show_image(axes, _veiled(displayed(picture), one, patch_size))
    add_note(figure, notes)
    return figure


def _checked(
    name: str, mask: AnyArray, picture: np.ndarray, patch_size: tuple[int, int]
) -> Bool[np.ndarray, "S gh gw"]:
    """Return a rule's masks with the axis of samples, once they fit the picture."""
    is_masked = np.asarray(mask)
    if is_masked.dtype != bool:
        raise ValueError(f"the masks of {name!r} must be bool, got {is_masked.dtype}")
    covered = tuple(n * size for n, size in zip(is_masked.shape[-2:], patch_size))
    if is_masked.ndim not in (2, 3) or covered != picture.shape[:2] or len(is_masked) == 0:
        raise ValueError(
            f"the masks of {name!r}, {is_masked.shape} patches of {tuple(patch_size)}, do not "
            f"cover a picture of {picture.shape[:2]}"
        )
    return is_masked.reshape(-1, *is_masked.shape[-2:])


def _count(is_masked: Bool[np.ndarray, "S gh gw"]) -> str:
    """Say how many patches are hidden."""
    counts = is_masked.sum(axis=(1, 2))
    length = is_masked[0].size
    hidden = str(counts[0]) if np.ptp(counts) == 0 else f"{counts.min()} to {counts.max()}"
    return f"{hidden} of {length} hidden"


def _veiled(
    rgb: Float[np.ndarray, "H W 3"], is_masked: Bool[np.ndarray, "gh gw"], patch_size
) -> Float[np.ndarray, "H W 3"]:
    """Lay the colour of the hidden over hidden patches."""
    is_hidden = is_masked.repeat(patch_size[0], axis=0).repeat(patch_size[1], axis=1)
    veil = _VEIL * rgb + (1 - _VEIL) * np.asarray(HIDDEN, rgb.dtype)
    return np.where(is_hidden[..., None], veil, rgb)
