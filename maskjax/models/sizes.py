"""Published sizes, and the arithmetic they cost."""

from collections.abc import Sequence
from typing import NamedTuple


class Size(NamedTuple):
    """Width, depth and heads of a transformer.

    Attributes:
        width: Width of the residual stream.
        depth: Number of blocks.
        num_heads: Attention heads.
    """

    width: int
    depth: int
    num_heads: int


# Ti, S: Touvron et al. 2021 (DeiT), table 1; B, L, H: Dosovitskiy et al. 2021, table 1.
encoder_sizes = {
    "Ti": Size(192, 12, 3),
    "S": Size(384, 12, 6),
    "B": Size(768, 12, 12),
    "L": Size(1024, 24, 16),
    "H": Size(1280, 32, 16),
}
# B, L, H: He et al. 2022, section 4.1 (8 blocks, 512 wide). No paper gives one for Ti and S.
decoder_sizes = {
    "Ti": Size(192, 4, 3),
    "S": Size(256, 4, 8),
    "B": Size(512, 8, 16),
    "L": Size(512, 8, 16),
    "H": Size(512, 8, 16),
}
# tiny, mini, small: Turc et al. 2019, table 1; base, large: Devlin et al. 2019, section 3.
text_sizes = {
    "tiny": Size(128, 2, 2),
    "mini": Size(256, 4, 4),
    "small": Size(512, 4, 8),
    "base": Size(768, 12, 12),
    "large": Size(1024, 24, 16),
}


# Heads and width of the MLP of each block, where blocks differ: of a network made smaller, whose
# heads are as wide as they were, and so is its residual stream.
Kept = tuple[tuple[int, int], ...]


def transformer_flops(
    size: Size, length: int, mlp_ratio: float = 4.0, kept: Sequence[tuple[int, int | float]] = ()
) -> float:
    """Floating-point operations of one forward pass over one sequence.

    Matrix products alone, a multiply-add as two operations: per position 8 D A for the four
    attention maps, A the width of all heads, 4 r D^2 for the MLP and 4 L A for the attention
    weights and their use.
    LayerNorm, softmax, GELU and biases, a few per cent, are left out, as in Kaplan et al. 2020
    (section 2.1) and PaLM's MFU (Chowdhery et al. 2022, appendix B).

    Args:
        size: The transformer.
        length: Tokens in the sequence, class token included.
        mlp_ratio: Hidden width of the MLP over the width.
        kept: Heads and hidden width of each block, where they differ; see `Kept`.

    Returns:
        FLOPs.

    >>> transformer_flops(Size(width=2, depth=1, num_heads=1), length=3)
    360.0
    >>> transformer_flops(Size(width=4, depth=1, num_heads=2), length=3, kept=((1, 5),))
    504.0
    """
    head_width = size.width // (size.num_heads or 1)  # 0 where they are not known
    usual = (size.num_heads or 1, mlp_ratio * size.width)
    blocks = [(heads * head_width, hidden) for heads, hidden in kept or (usual,) * size.depth]
    per_position = sum((8 * a + 4 * hidden) * size.width + 4 * length * a for a, hidden in blocks)
    return float(length * per_position)
