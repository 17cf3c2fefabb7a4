"""facebookresearch/mae: encoder-only and full checkpoints, and fine-tuned ones.

The encoder is timm's of that time, with its names; there is no config.json, and the reference
always has LayerNorms with 1e-6.
"""

from collections.abc import Mapping
from typing import Any

from maskjax.interop import timm
from maskjax.interop.dialect import Dialect
from maskjax.interop.facts import Facts

ANTIALIAS = False  # util/pos_embed.py
MARK = timm.MARK

_DECODER = {
    "decoder/mask_token": "mask_token",
    "decoder/positions/table": "decoder_pos_embed",
    "decoder/embed": "decoder_embed",
    "decoder/transformer/norm": "decoder_norm",
    "decoder/predict": "decoder_pred",
}
_STACKS = {"encoder/transformer": "blocks", "decoder/transformer": "decoder_blocks"}
DIALECTS = (Dialect(timm.TOPS | _DECODER, _STACKS, timm.BLOCK),)


def facts(config: Mapping[str, Any] | None, place: str) -> Facts:
    """Tell what holds for all of these files."""
    del config, place
    return Facts()
