"""Boxes and regions: one from the other, and instances as one map of labels."""

import jax.numpy as jnp

from maskjax.masking.checks import as_array, check_whole
from maskjax.masking.regions.checks import as_coordinates, as_regions, check_size
from maskjax.typing import Array, Bool, Int, Num

FORMS = ("xyxy", "xywh")


def from_boxes(
    size: tuple[int, int], boxes: Num[Array, "*b 4"], *, form: str = "xyxy"
) -> Bool[Array, "*b height width"]:
    """The pixels of each box: N boxes [N, 4] give N regions [N, H, W], one per instance.

    Their union is `from_boxes(...).any(axis=-3)`, and one map of labels `to_labels(...)`.

    Args:
        size: static (height, width) of the image in pixels.
        boxes: two corners or corner and sides, in pixels; parts beyond the image are cut off.
        form: "xyxy" (x_min, y_min, x_max, y_max) or "xywh" (x_min, y_min, width, height).

    Returns:
        True where a pixel's centre is inside, half-open: x_min <= x < x_max, the same for y. Whole
        numbers cover columns x_min ... x_max - 1. A box without area (padding of zeros) is empty.

    Raises:
        ValueError: a size below 1, not four numbers each, or an unknown form.

    Examples:
        >>> from_boxes((2, 4), jnp.array([[0, 0, 2, 1], [1, 0, 4, 2]])).astype(int).tolist()
        [[[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 1, 1, 1], [0, 1, 1, 1]]]
    """
    check_size(size)
    boxes = as_coordinates("boxes", boxes, 4)
    _check_form(form)
    boxes = xyxy_from_xywh(boxes) if form == "xywh" else boxes
    x, y = (
        (jnp.arange(side) + 0.5).reshape(*(1,) * (boxes.ndim - 1), side)
        for side in (size[1], size[0])
    )
    in_columns = (boxes[..., 0:1] <= x) & (x < boxes[..., 2:3])
    in_rows = (boxes[..., 1:2] <= y) & (y < boxes[..., 3:4])
    return in_rows[..., :, None] & in_columns[..., None, :]


def to_boxes(is_inside: Bool[Array, "*b H W"], *, form: str = "xyxy") -> Int[Array, "*b 4"]:
    """The tight box around each region.

    Args:
        is_inside: True = inside.
        form: "xyxy" (x_min, y_min, x_max, y_max) or "xywh" (x_min, y_min, width, height).

    Returns:
        Whole pixels; x_max and y_max are one past the last, so `from_boxes` covers the region. An
        empty region gives four zeros, as COCO's does.

    Raises:
        ValueError: not a region, or an unknown form.

    Examples:
        >>> is_inside = jnp.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], bool)
        >>> to_boxes(is_inside).tolist(), to_boxes(is_inside, form="xywh").tolist()
        ([1, 1, 3, 3], [1, 1, 2, 2])
    """
    (is_inside,) = as_regions(is_inside=is_inside)
    _check_form(form)
    height, width = is_inside.shape[-2:]
    columns, rows = is_inside.any(axis=-2), is_inside.any(axis=-1)
    x_min, y_min = jnp.argmax(columns, axis=-1), jnp.argmax(rows, axis=-1)
    x_max = width - jnp.argmax(columns[..., ::-1], axis=-1)
    y_max = height - jnp.argmax(rows[..., ::-1], axis=-1)
    boxes = jnp.stack([x_min, y_min, x_max, y_max], axis=-1)
    boxes = jnp.where(rows.any(axis=-1)[..., None], boxes, 0).astype(jnp.int32)
    return xywh_from_xyxy(boxes) if form == "xywh" else boxes


def xyxy_from_xywh(boxes: Num[Array, "*b 4"]) -> Num[Array, "*b 4"]:
    """Corner and sides (COCO) to two corners.

    Args:
        boxes: x_min, y_min, width, height.

    Returns:
        x_min, y_min, x_max, y_max, the latter one past the last pixel. Corners that name the last
        pixel itself (Pascal VOC) are one less.

    Raises:
        ValueError: not four numbers each.

    Examples:
        >>> xyxy_from_xywh(jnp.array([1, 2, 3, 4])).tolist()
        [1, 2, 4, 6]
    """
    boxes = as_coordinates("boxes", boxes, 4)
    return jnp.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xywh_from_xyxy(boxes: Num[Array, "*b 4"]) -> Num[Array, "*b 4"]:
    """Two corners to corner and sides (COCO).

    Args:
        boxes: x_min, y_min, x_max, y_max, the latter one past the last pixel.

    Returns:
        x_min, y_min, width, height.

    Raises:
        ValueError: not four numbers each.

    Examples:
        >>> xywh_from_xyxy(jnp.array([1, 2, 4, 6])).tolist()
        [1, 2, 3, 4]
    """
    boxes = as_coordinates("boxes", boxes, 4)
    return jnp.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def to_labels(is_inside: Bool[Array, "*b N H W"]) -> Int[Array, "*b H W"]:
    """One map of labels from N regions, as if they were painted one after the other.

    Args:
        is_inside: a region per instance or class.

    Returns:
        0 where no region is, otherwise 1 + the index of the last region there.

    Raises:
        ValueError: not regions, or no axis of instances.

    Examples:
        >>> to_labels(jnp.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]]], bool)).tolist()
        [[1, 2, 2, 0]]
    """
    (is_inside,) = as_regions(is_inside=is_inside)
    if is_inside.ndim < 3:
        raise ValueError(f"is_inside of shape {is_inside.shape}: give instances [*b, N, H, W]")
    number = jnp.arange(1, is_inside.shape[-3] + 1, dtype=jnp.int32)
    number = number.reshape(*(1,) * (is_inside.ndim - 3), -1, 1, 1)
    return jnp.max(jnp.where(is_inside, number, 0), axis=-3, initial=0)


def from_labels(labels: Num[Array, "*b H W"], num_labels: int) -> Bool[Array, "*b N H W"]:
    """The region of each label.

    Args:
        labels: 0 is the background; other values than 1 ... num_labels are in no region.
        num_labels: N, static, at least 1.

    Returns:
        A region for each of the labels 1 ... N, in this order.

    Raises:
        ValueError: fewer labels than 1, or no height and width.

    Examples:
        >>> from_labels(jnp.array([[1, 2, 2, 0]]), 2).astype(int).tolist()
        [[[1, 0, 0, 0]], [[0, 1, 1, 0]]]
    """
    check_whole("num_labels", num_labels)
    labels = as_array("labels", labels)
    if labels.ndim < 2:
        raise ValueError(f"labels of shape {labels.shape}: give [*b, H, W]")
    number = jnp.arange(1, num_labels + 1).reshape(*(1,) * (labels.ndim - 2), -1, 1, 1)
    return labels[..., None, :, :] == number


def _check_form(form: str) -> None:
    """Refuses a form of boxes that is not known."""
    if form not in FORMS:
        raise ValueError(f"unknown form of boxes {form!r}; choose from {FORMS}")
