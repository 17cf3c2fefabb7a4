"""What a format tells of a model beside its tensors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

REFERENCE_EPS = 1e-6  # of facebookresearch/mae and timm


class Facts(NamedTuple):
    """What the tensors themselves do not show.

    Attributes:
        heads: 0 where nothing says it.
        decoder_heads: the same of a decoder.
        norm_eps: of the LayerNorms.
        image: pixels along each axis; () where nothing says it.
        pool: what a head reads: "class", "mean", other words, or "" where nothing says it.
        claims: numbers of config.json that the tensors show too: (key, number) by "width",
            "depth", "hidden", "channels", "decoder width", "decoder depth".
    """

    heads: int = 0
    decoder_heads: int = 0
    norm_eps: float = REFERENCE_EPS
    image: tuple[int, ...] = ()
    pool: str = ""
    claims: Mapping[str, tuple[str, Any]] = {}


def pair(value: Any) -> tuple[int, ...]:
    """Read a side, or two of them, of a config.json."""
    return tuple(map(int, value)) if isinstance(value, list | tuple) else (int(value), int(value))


def numbers(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Collect claims: {what: (key, number)} of the keys that there are."""
    return {what: (key, config[key]) for what, key in names.items() if key in config}
