"""A plain multilayer perceptron."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn

from maskjax.typing import Array, Float


class Linear(nn.Module):
    """A dense layer that begins as PyTorch's `nn.Linear`: uniform within 1 / sqrt(inputs).

    Attributes:
        features: width of the output.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
        """Multiply and shift."""
        bound = x.shape[-1] ** -0.5

        def uniform(key: Any, shape: tuple[int, ...]) -> Array:
            return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

        kernel = self.param("kernel", uniform, (x.shape[-1], self.features))
        return x @ kernel + self.param("bias", uniform, (self.features,))[None]


class Mlp(nn.Module):
    """Dense layers with ReLU between them, as tutorials have it.

    Attributes:
        hidden: widths of the hidden layers.
        width_out: of the last layer, which has no ReLU.
    """

    hidden: Sequence[int]
    width_out: int

    def setup(self):
        """Make the layers."""
        self.body = [Linear(width, name=f"hidden{i}") for i, width in enumerate(self.hidden)]
        self.head = Linear(self.width_out)

    def __call__(self, x: Float[Array, "B L"]) -> Float[Array, "B O"]:
        """Predict."""
        return self.head(self.encode(x))

    def encode(self, x: Float[Array, "B L"]) -> Float[Array, "B D"]:
        """The last hidden layer."""
        for layer in self.body:
            x = jax.nn.relu(layer(x))
        return x


def flops(widths: Sequence[int]) -> float:
    """Matrix-product FLOPs of one example, forward and backward, through layers of these widths.

    Example:
        >>> flops((10, 7, 5))
        630.0
    """
    return 6.0 * sum(a * b for a, b in itertools.pairwise(widths))
