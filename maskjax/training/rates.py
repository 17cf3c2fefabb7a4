"""Factors of the learning rate by path: of a config, and from layer to layer."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from maskjax.masking.parameters import matching

_BLOCK = re.compile(r"encoder/(?:.*/)?block(\d+)(?:/|$)")


def own_factors(pairs: Any, paths: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Read `optimizer.rates`: the paths that each pair finds, with its factor."""
    for pair in pairs:
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
        is_factor = is_pair and isinstance(pair[1], int | float) and 0 <= pair[1] < math.inf
        if not is_factor:
            raise ValueError(
                f"optimizer.rates holds {pair!r}: give pairs of a regular expression and a factor "
                "of at least 0, as in (('^head/', 10.0),)"
            )
        for path in sorted(matching("optimizer.rates", pair[0], paths)):
            yield path, float(pair[1])


def layer_factors(decay: float, paths: Sequence[str]) -> dict[str, float]:
    """Learning rates that fall from the last layer to the first (Bao et al. 2022, BEiT; He et al.).

    Class token, positions, patch projection, embeddings and their norm are layer 0, block i is
    layer i + 1, and all else (the encoder's last norm, heads) is layer depth + 1, with factor 1.

    Args:
        decay: factor from one layer to the one below, in (0, 1]; 1 is none.
        paths: of the parameters' leaves; those of the encoder begin with "encoder/".

    Returns:
        decay^(depth + 1 - layer) by path; nothing at decay 1.

    Raises:
        ValueError: no block in an encoder.

    Example:
        >>> layer_factors(0.5, ["encoder/class_token", "encoder/block00/kernel", "head/kernel"])
        {'encoder/class_token': 0.25, 'encoder/block00/kernel': 0.5, 'head/kernel': 1.0}
    """
    if decay == 1:
        return {}
    blocks = {path: int(at[1]) for path in paths if (at := _BLOCK.match(path))}
    if not blocks:
        raise ValueError(
            f"optimizer.layer_decay {decay} needs an encoder with blocks, and no path of the "
            "parameters has encoder/.../blockNN: set it to 1"
        )
    depth = max(blocks.values()) + 1

    def layer(path: str) -> int:
        if path in blocks:
            return blocks[path] + 1
        is_first = path.startswith("encoder/norm/")  # of embeddings, before the blocks
        is_last = not path.startswith("encoder/") or ("/norm/" in path and not is_first)
        return depth + 1 if is_last else 0

    return {path: decay ** (depth + 1 - layer(path)) for path in paths}
