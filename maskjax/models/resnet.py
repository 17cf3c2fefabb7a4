"""Residual networks of convolutions, on inputs of any number of axes.

"group" is the form of BiT (Kolesnikov et al. 2020, section 3.1): blocks normalise first (He et al.
2016, "Identity mappings", figure 4e), by group norm (Wu and He 2018) behind convolutions whose
weights are standardised (Qiao et al. 2019). A norm of one example alone is a sum over nothing else,
as batch norm is not. "affine" is the form of torchvision's and timm's published weights: blocks
normalise last (He et al. 2015, with the stride in the 3x3 convolution), and batch norm is what it
is once it no longer learns, a scale and a bias of each channel.
"""

import functools
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax.models.architecture import leaf_shapes
from maskjax.models.layers import drop_path
from maskjax.models.resnet_sizes import LARGE, ResNetArchitecture
from maskjax.typing import Array, DType, Float, Key

NORM_EPS = 1e-5  # of group norm, as in PyTorch and BiT
WEIGHT_EPS = 1e-8  # of weights' variance, as in timm's BiT; the released code of BiT has 1e-10
he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # He et al. 2015b


def standardised(kernel: Float[Array, "*side I O"]) -> Float[Array, "*side I O"]:
    """Give the weights of each output mean 0 and variance 1 (Qiao et al. 2019, equations 5 to 7).

    >>> kernel = jnp.array([[[1.0, 5.0], [3.0, 5.0]]])  # of one place, 2 inputs, 2 outputs
    >>> standardised(kernel).round(3).tolist()
    [[[-1.0, 0.0], [1.0, 0.0]]]
    """
    axes = tuple(range(kernel.ndim - 1))
    centred = kernel - kernel.mean(axes, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(axes, keepdims=True) + WEIGHT_EPS)


class Conv(nn.Module):
    """A convolution without bias, over as many axes as the input has.

    Attributes:
        features: Channels of the output.
        side: Of the kernel, odd; the input is padded with zeros by half of it.
        stride: Steps from one output to the next.
        is_standardised: Whether the weights are standardised.
        dtype: Compute dtype; the parameters stay float32.
    """

    features: int
    side: int
    stride: int = 1
    is_standardised: bool = True
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B *shape I"]) -> Float[Array, "B *smaller O"]:
        """Each output from the inputs around it."""
        axes = x.ndim - 2
        kernel = self.param("kernel", he_normal, (self.side,) * axes + (x.shape[-1], self.features))
        if self.is_standardised:
            kernel = standardised(kernel)
        letters = "XYZ"[:axes]
        return jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            (self.stride,) * axes,
            [(self.side // 2, self.side // 2)] * axes,
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        )


class Affine(nn.Module):
    """A scale and a bias of each channel: batch norm that no longer learns.

    Attributes:
        dtype: Compute dtype.
    """

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B *shape D"]) -> Float[Array, "B *shape D"]:
        """Scale and move."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:]).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:]).astype(self.dtype)
        row = (1,) * (x.ndim - 1) + (-1,)
        return x * scale.reshape(row) + bias.reshape(row)


def _norm(architecture: ResNetArchitecture, dtype: DType, name: str) -> nn.Module:
    if architecture.norm == "affine":
        return Affine(dtype, name=name)
    return nn.GroupNorm(
        architecture.groups, epsilon=NORM_EPS, dtype=dtype, use_fast_variance=False, name=name
    )


class Block(nn.Module):
    """A residual block.

    Attributes:
        architecture: What it is a block of.
        width: Channels of its 3x3 convolutions.
        stride: Of its first 3x3 convolution.
        drop_path_rate: Probability of dropping the residual branch of an example.
        dtype: Compute dtype.
    """

    architecture: ResNetArchitecture
    width: int
    stride: int = 1
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B *shape I"], drop_keys: Key[Array, "B"] | None = None
    ) -> Float[Array, "B *smaller O"]:
        """Adds convolutions of the input to it, or to a 1x1 convolution where shapes differ."""
        is_first = self.architecture.norm == "group"  # norms before convolutions

        def conv(x: Array, features: int, side: int, stride: int, name: str) -> Array:
            return Conv(features, side, stride, is_first, self.dtype, name=name)(x)

        def norm(x: Array, name: str) -> Array:
            return _norm(self.architecture, self.dtype, name)(x)

        layers = [(self.width, 3, self.stride), (self.width, 3, 1)]
        if self.architecture.is_bottleneck:
            out = self.architecture.outputs(self.width)
            layers = [(self.width, 1, 1), (self.width, 3, self.stride), (out, 1, 1)]
        out, has_shortcut = layers[-1][0], self.stride > 1 or x.shape[-1] != layers[-1][0]
        shortcut, y = x, x
        for number, layer in enumerate(layers, 1):
            if is_first:
                y = nn.relu(norm(y, f"norm{number}"))
                if number == 1 and has_shortcut:
                    shortcut = conv(y, out, 1, self.stride, "shortcut")
                y = conv(y, *layer, f"conv{number}")
                continue
            y = norm(conv(y, *layer, f"conv{number}"), f"norm{number}")
            y = nn.relu(y) if number < len(layers) else y
        if has_shortcut and not is_first:
            shortcut = norm(conv(x, out, 1, self.stride, "shortcut"), "shortcut_norm")
        y = shortcut + drop_path(y, self.drop_path_rate, drop_keys)
        return y if is_first else nn.relu(y)


class Stages(nn.Module):
    """The blocks, and behind those that normalise first a last norm.

    Attributes:
        architecture: What they are of.
        drop_path_rate: Rate of the last block; earlier ones rise linearly from 0.
        dtype: Compute dtype.
        remat: Recompute each block in the backward pass instead of keeping its activations.
    """

    architecture: ResNetArchitecture
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "B *shape I"], drop_keys: Key[Array, "B"] | None = None
    ) -> Float[Array, "B *smaller O"]:
        """All blocks; one key an example for drop path, None at evaluation."""
        block, blocks = nn.remat(Block) if self.remat else Block, self.architecture.blocks
        for i, (width, stride) in enumerate(blocks):
            keys = None
            if drop_keys is not None:
                keys = jax.vmap(jax.random.fold_in, (0, None))(drop_keys, i)
            rate = self.drop_path_rate * i / max(len(blocks) - 1, 1)
            given = (self.architecture, width, stride, rate, self.dtype)
            x = block(*given, name=f"block{i:02d}")(x, keys)
        if self.architecture.norm == "affine":
            return x
        return nn.relu(_norm(self.architecture, self.dtype, "norm")(x))


class ResNet(nn.Module):
    """A residual network without its head.

    Attributes:
        architecture: What it is.
        drop_path_rate: Rate of the last block; earlier ones rise linearly from 0.
        dtype: Compute dtype.
        remat: Recompute each block in the backward pass instead of keeping its activations.
    """

    architecture: ResNetArchitecture
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "B *shape C"], drop_keys: Key[Array, "B"] | None = None
    ) -> Float[Array, "B D"]:
        """The mean over places of the last stage, float32."""
        it = self.architecture
        is_large, is_first = it.stem == LARGE, it.norm == "group"
        stem = Conv(it.widths[0], it.stem, 2 if is_large else 1, is_first, self.dtype, name="stem")
        x = stem(x)
        if not is_first:
            x = nn.relu(_norm(it, self.dtype, "stem_norm")(x))
        if is_large:  # of zeros and the input; behind a ReLU nothing is below them
            sides = (x.ndim - 2) * [(1, 1)]
            x = jnp.pad(x, [(0, 0), *sides, (0, 0)])
            # Sizes by name: jax2onnx takes no others.
            x = nn.max_pool(x, window_shape=(3,) * len(sides), strides=(2,) * len(sides))
        stages = Stages(it, self.drop_path_rate, self.dtype, self.remat, name="stages")
        x = stages(x, drop_keys)
        return x.astype(jnp.float32).mean(tuple(range(1, x.ndim - 1)))


@functools.cache  # tracing a model takes a second
def resnet_shapes(architecture: ResNetArchitecture) -> Mapping[str, tuple[int, ...]]:
    """List the parameters of an encoder: {path: shape}."""
    x = jnp.zeros((1, *(32,) * architecture.num_axes, architecture.channels))
    draw = lambda: ResNet(architecture).init(jax.random.key(0), x)["params"]  # noqa: E731
    return leaf_shapes({"encoder": jax.eval_shape(draw)})
