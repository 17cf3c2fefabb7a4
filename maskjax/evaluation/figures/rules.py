"""A sheet that shows masking rules on one picture."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from maskjax.evaluation.checks import AnyArray
from maskjax.evaluation.figures.canvas import (
    brightness_note,
    channel_note,
    displayed,
    fitted,
    show_image,
    white_point,
)
from maskjax.evaluation.figures.tiles import Block, hidden_count, tiled_figure, veiled
from maskjax.typing import Bool

_SIDE = 1.15


def rule_sheet(
    image: AnyArray,
    hidden: Mapping[str, AnyArray | str],
    patch_size: tuple[int, int],
    *,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw several masks of every rule on one picture, with the number of hidden patches.

    Visible patches keep their colours; hidden ones show through a veil.

    Args:
        image: Floats in [0, 1], [H, W, C].
        hidden: For each rule's name its masks, bool [B, gh, gw] or, for one, [gh, gw], True is
            hidden; or a text that says why there are none.
        patch_size: The height and width of a patch; H = gh * height and W = gw * width.
        notes: What the reader must know.

    Returns:
        The figure: a block of B pictures a rule, in two columns of blocks.

    Raises:
        ValueError: There is no rule, a shape does not fit the picture, the picture holds no
            floats, or masks are not bool.
    """
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.dtype.kind != "f" or 0 in picture.shape:
        raise ValueError(
            f"the picture must be floats [H, W, C], got {picture.dtype} {picture.shape}"
        )
    if not hidden:
        raise ValueError("there is no masking rule to draw")
    white = white_point(picture)
    rgb = displayed(picture / picture.dtype.type(white))
    blocks = {}
    for name, flags in hidden.items():
        if isinstance(flags, str):
            blocks[name] = Block((), problem=flags)
            continue
        is_masked = _checked(name, flags, picture, patch_size)
        pixels = is_masked.repeat(patch_size[0], axis=1).repeat(patch_size[1], axis=2)
        tiles = [functools.partial(show_image, rgb=veiled(rgb, one)) for one in pixels]
        blocks[name] = Block(tiles, hidden_count(is_masked))
    notes = [*notes, *brightness_note(white), *channel_note(picture.shape[-1])]
    width, height = fitted(picture.shape[1], picture.shape[0], _SIDE)
    return tiled_figure(blocks, width, height, notes=notes)


def _checked(
    name: str, flags: AnyArray, picture: np.ndarray, patch_size: tuple[int, int]
) -> Bool[np.ndarray, "B gh gw"]:
    """Return a rule's masks with the axis of samples, once they fit the picture."""
    is_masked = np.asarray(flags)
    if is_masked.dtype != bool:
        raise ValueError(f"the masks of {name!r} must be bool, got {is_masked.dtype}")
    covered = tuple(n * size for n, size in zip(is_masked.shape[-2:], patch_size))
    if is_masked.ndim not in (2, 3) or covered != picture.shape[:2] or len(is_masked) == 0:
        raise ValueError(
            f"the masks of {name!r}, {is_masked.shape} patches of {tuple(patch_size)}, do not "
            f"cover a picture of {picture.shape[:2]}"
        )
    return is_masked.reshape(-1, *is_masked.shape[-2:])
