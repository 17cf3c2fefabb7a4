"""Regions in the run-length form of COCO's files: column-major counts, as a list or as a string.

Lin et al. 2014 (Microsoft COCO) and the format's public description. On the host, in NumPy: strings
have no fixed length. One region each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskjax.masking.regions.checks import check_regions, check_size
from maskjax.typing import Array, Bool


def to_coco(is_inside: Bool[Array | np.ndarray, "H W"], *, compress: bool = True) -> dict[str, Any]:
    """One region as COCO writes it.

    Args:
        is_inside: True = inside.
        compress: counts as a string (`compress_counts`) instead of a list.

    Returns:
        {"size": [H, W], "counts": ...}, ready for JSON; pycocotools has bytes for the string.

    Raises:
        ValueError: not one region.

    Examples:
        >>> is_inside = np.array([[0, 1], [1, 1], [0, 0]], bool)
        >>> to_coco(is_inside), to_coco(is_inside, compress=False)["counts"]
        ({'size': [3, 2], 'counts': '11110'}, [1, 1, 1, 2, 1])
    """
    region = np.asarray(is_inside)
    check_regions(is_inside=region)
    if region.ndim != 2 or region.size == 0:
        raise ValueError(f"is_inside of shape {region.shape}: give one region [H, W]")
    pixels = region.reshape(-1, order="F")
    starts = np.flatnonzero(pixels != np.concatenate([[False], pixels[:-1]]))
    counts = np.diff(np.concatenate([[0], starts, [pixels.size]])).tolist()
    return {"size": list(region.shape), "counts": compress_counts(counts) if compress else counts}


def from_coco(rle: Mapping[str, Any]) -> Bool[np.ndarray, "H W"]:
    """The region of a COCO annotation's run lengths.

    Args:
        rle: {"size": [H, W], "counts": ...}, the counts a list, or a compressed string or bytes.

    Returns:
        True = inside.

    Raises:
        ValueError: no such mapping, a key that is missing, a size below 1, counts that are negative
            or do not sum to H * W, or a bad string.

    Examples:
        >>> from_coco({"size": [3, 2], "counts": [1, 1, 1, 2, 1]}).astype(int).tolist()
        [[0, 1], [1, 1], [0, 0]]
    """
    if not isinstance(rle, Mapping):
        raise ValueError(
            f"run lengths are a {type(rle).__name__}: give COCO's dict of 'size' and 'counts'; its "
            "lists of coordinates are for `polygon`"
        )
    if not {"size", "counts"} <= set(rle):
        raise ValueError(f"run lengths with keys {sorted(rle)}: COCO's are 'size' and 'counts'")
    check_size(rle["size"])
    height, width = rle["size"]
    counts = rle["counts"]
    counts = decompress_counts(counts) if isinstance(counts, str | bytes) else list(counts)
    if min(counts, default=0) < 0:
        raise ValueError(f"counts hold {min(counts)}; a run has at least 0 pixels")
    if sum(counts) != height * width:
        raise ValueError(
            f"counts sum to {sum(counts)}, but size {[height, width]} has {height * width} pixels"
        )
    pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return pixels.reshape((height, width), order="F")


def compress_counts(counts: Sequence[int]) -> str:
    """COCO's string of run lengths.

    From the fourth on a count is written as its difference from the one two before. Each number
    is cut into groups of five bits, the lowest first; a sixth bit says that more follow, the
    fifth bit of the last group is the sign. A group is one character: 48 + its six bits.

    Args:
        counts: run lengths, at least 0 each.

    Returns:
        Characters "0" to "o".

    Raises:
        ValueError: a negative count.

    Examples:
        >>> compress_counts([6, 1, 40, 4, 5, 4, 5, 4, 21])
        '61X13mN000`0'
    """
    if min(counts, default=0) < 0:
        raise ValueError(f"counts hold {min(counts)}; a run has at least 0 pixels")
    characters = []
    for i, count in enumerate(counts):
        number, is_last = int(count) - (int(counts[i - 2]) if i > 2 else 0), False
        while not is_last:
            group = number & 31
            number >>= 5
            is_last = number == (-1 if group & 16 else 0)
            characters.append(chr(48 + group + (0 if is_last else 32)))
    return "".join(characters)


def decompress_counts(text: str | bytes) -> list[int]:
    """The run lengths in COCO's string: the inverse of `compress_counts`.

    Args:
        text: characters "0" to "o".

    Returns:
        The run lengths.

    Raises:
        ValueError: another character, a string that ends within a number, or a count below 0.

    Examples:
        >>> decompress_counts("61X13mN000`0")
        [6, 1, 40, 4, 5, 4, 5, 4, 21]
    """
    codes = text.encode("utf-8") if isinstance(text, str) else text
    counts: list[int] = []
    number, shift = 0, 0
    for i, code in enumerate(codes):
        if not 48 <= code <= 111:
            raise ValueError(f"character {chr(code)!r} at {i}: compressed counts use '0' to 'o'")
        group = code - 48
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        if counts[-1] < 0:
            raise ValueError(f"count {counts[-1]} at {i}; a run has at least 0 pixels")
        number, shift = 0, 0
    if shift:
        raise ValueError(f"the string {codes.decode()[-8:]!r} ends within a number")
    return counts
