"""LeNet-5 as tutorials have it: two convolutions and two dense layers, with ReLU and maxima."""

import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax.models.layers import Dense
from maskjax.models.resnet_sizes import conv_flops
from maskjax.typing import Array, DType, Float, Key

SIDE = 5  # of the convolutions' kernels
WIDTHS = (6, 16)  # their channels
HIDDEN = (120, 84)
LEAST = 16  # pixels a side: below it nothing is left for the dense layers


@functools.cache  # the same initialiser for the same number: modules compare by it
def uniform(fan_in: int) -> nn.initializers.Initializer:
    """U(-b, b) with b = fan_in^(-1/2), by which PyTorch draws weights and biases."""
    bound = fan_in**-0.5

    def draw(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


def dense(features: int, inputs: int, dtype: DType, name: str) -> Dense:
    """A dense layer that begins as PyTorch's."""
    draw = uniform(inputs)
    return Dense(features, dtype, kernel_init=draw, bias_init=draw, name=name)


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998, section II.B) without its head, in the tutorials' form.

    That has ReLU where LeCun et al. have a scaled tanh, maxima for sums, and every map of the
    second convolution reads all of the first.

    Attributes:
        dtype: Compute dtype.
    """

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B *shape C"], drop_keys: Key[Array, "B"] | None = None
    ) -> Float[Array, "B D"]:
        """84 numbers an example, float32; nothing is dropped."""
        del drop_keys
        axes = x.ndim - 2
        for number, width in enumerate(WIDTHS, 1):
            draw = uniform(SIDE**axes * x.shape[-1])
            options = {"dtype": self.dtype, "kernel_init": draw, "bias_init": draw}
            conv = nn.Conv(width, (SIDE,) * axes, padding="VALID", name=f"conv{number}", **options)
            # Sizes by name: jax2onnx takes no others.
            x = nn.max_pool(nn.relu(conv(x)), window_shape=(2,) * axes, strides=(2,) * axes)
        x = x.reshape(x.shape[0], -1)
        for number, width in enumerate(HIDDEN, 1):
            x = nn.relu(dense(width, x.shape[-1], self.dtype, f"dense{number}")(x))
        return x.astype(jnp.float32)


def lenet_flops(shape: Sequence[int]) -> float:
    """FLOPs of one forward pass over one example, without the head: multiply-adds as two.

    Args:
        shape: of the example, channels last.

    >>> lenet_flops((32, 32, 3)) / 2 == 352800 + 240000 + 400 * 120 + 120 * 84
    True
    """
    total, places, inputs = 0.0, tuple(shape[:-1]), shape[-1]
    for width in WIDTHS:
        places = tuple(size - SIDE + 1 for size in places)
        total += conv_flops(inputs, width, SIDE, places)
        places, inputs = tuple(size // 2 for size in places), width
    inputs *= math.prod(places)
    for width in HIDDEN:
        total, inputs = total + 2.0 * inputs * width, width
    return total
