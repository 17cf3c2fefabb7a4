"""A plain multilayer perceptron."""

import itertools
from collections.abc import Sequence

import jax
from flax import linen as nn

from maskjax.typing import Array, Float


class Mlp(nn.Module):
    """Dense layers with ReLU between them.

    Attributes:
        hidden: widths of the hidden layers.
        width_out: of the last layer, which has no ReLU.
    """

    hidden: Sequence[int]
    width_out: int

    def setup(self):
        """Make the layers."""
        self.body = [nn.Dense(width, name=f"hidden{i}") for i, width in enumerate(self.hidden)]
        self.head = nn.Dense(self.width_out)

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
