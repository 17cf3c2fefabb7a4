"""What a residual network is, as far as files of weights say it; named ones, and what they cost."""

import dataclasses
import math
from collections.abc import Sequence

NORMS = ("group", "affine")
LARGE = 7  # side of the first convolution of large images, which a pool follows
EXPANSION = 4  # of a bottleneck's output over its 3x3 convolution


@dataclasses.dataclass(frozen=True)
class ResNetArchitecture:
    """A residual network without its head.

    Attributes:
        depths: blocks of each stage.
        widths: channels of the 3x3 convolutions of each stage; the first of the stem, too.
        is_bottleneck: whether blocks are 1x1, 3x3, 1x1 convolutions, and not two of 3x3.
        stem: side of the first convolution: 7, with stride 2 and behind it a maximum over 3 with
            stride 2, for large images; or 3, with stride 1, for small ones.
        norm: of `NORMS`.
        groups: of group norm; nothing in the other form.
        channels: of the inputs.
        num_axes: of the inputs, beside channels: 2 for images.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    is_bottleneck: bool
    stem: int
    norm: str = "group"
    groups: int = 32
    channels: int = 3
    num_axes: int = 2

    @property
    def width(self) -> int:
        """D, channels of the last stage."""
        return self.outputs(self.widths[-1])

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Width and stride of each block."""
        stages = enumerate(zip(self.depths, self.widths, strict=True))
        return tuple(
            (width, 2 if stage and not block else 1)
            for stage, (depth, width) in stages
            for block in range(depth)
        )

    def outputs(self, width: int) -> int:
        """Channels of a block whose 3x3 convolutions have so many."""
        return width * EXPANSION if self.is_bottleneck else width


# Small: He et al. 2015, section 4.2, for 32 x 32 pixels; the others: table 1 there.
_SMALL, _FIRST = (16, 32, 64), (64, 128, 256, 512)
resnet_sizes = {
    "resnet20": ResNetArchitecture((3, 3, 3), _SMALL, False, 3, groups=4),
    "resnet56": ResNetArchitecture((9, 9, 9), _SMALL, False, 3, groups=4),
    "resnet18": ResNetArchitecture((2, 2, 2, 2), _FIRST, False, LARGE),
    "resnet34": ResNetArchitecture((3, 4, 6, 3), _FIRST, False, LARGE),
    "resnet50": ResNetArchitecture((3, 4, 6, 3), _FIRST, True, LARGE),
    "resnet101": ResNetArchitecture((3, 4, 23, 3), _FIRST, True, LARGE),
    "resnet152": ResNetArchitecture((3, 8, 36, 3), _FIRST, True, LARGE),
}


def conv_flops(inputs: int, outputs: int, side: int, places: Sequence[int]) -> float:
    """FLOPs of a convolution, a multiply-add as two.

    Args:
        inputs: channels read.
        outputs: channels written.
        side: of the kernel, along each axis.
        places: of the output, along each axis.

    >>> conv_flops(3, 6, 5, (28, 28))
    705600.0
    """
    return 2.0 * side ** len(places) * inputs * outputs * math.prod(places)


def resnet_flops(architecture: ResNetArchitecture, shape: Sequence[int]) -> float:
    """FLOPs of one forward pass over one example: convolutions alone.

    Args:
        architecture: what the model is.
        shape: of the example, channels last.
    """
    it, places = architecture, tuple(shape[:-1])
    is_large = it.stem == LARGE
    places = _strided(places, 2) if is_large else places
    total = conv_flops(shape[-1], it.widths[0], it.stem, places)
    places = _strided(places, 2) if is_large else places
    inputs = it.widths[0]
    for width, stride in it.blocks:
        after, out = _strided(places, stride), it.outputs(width)
        if stride > 1 or inputs != out:
            total += conv_flops(inputs, out, 1, after)
        if it.is_bottleneck:
            total += conv_flops(inputs, width, 1, places)
            total += conv_flops(width, width, 3, after) + conv_flops(width, out, 1, after)
        else:
            total += conv_flops(inputs, width, 3, after) + conv_flops(width, width, 3, after)
        inputs, places = out, after
    return total


def _strided(places: tuple[int, ...], stride: int) -> tuple[int, ...]:
    return tuple(math.ceil(size / stride) for size in places)
