"""Small layers that every model shares: dense, exact GELU, drop path, the MLP."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from maskjax.typing import Array, DType, Float, Key

# The reference MAE initialises every Linear with Xavier-uniform weights and zero bias.
xavier_uniform = nn.initializers.xavier_uniform()
WIDE = 384  # rows and columns of a kernel from which on Eigen multiplies faster than YNNPACK
layer_norm_epsilon = 1e-6  # He et al. 2022; transformers' ViTMAE defaults to 1e-12


@dataclasses.dataclass(frozen=True)
class Style:
    """What a transformer is made of, beside its sizes.

    By default the pre-norm blocks of a vision transformer (Dosovitskiy et al. 2021, section 3.1).

    Attributes:
        norm_first: LayerNorms before attention and MLP; False = behind the sums of what they add
            and what they read (Vaswani et al. 2017, section 3.1).
        has_bias: Whether dense layers and LayerNorms have biases.
        is_gated: Whether the first layer of the MLP has a gate (GeGLU, Shazeer 2020, section 2).
        first_norm: Whether there is a LayerNorm before the attention of the first block; one that
            reads what is normalised already needs none.
        kernel_std: Kernels are drawn from a normal distribution of this deviation, cut at twice
            it; 0 = Xavier-uniform.
    """

    norm_first: bool = True
    has_bias: bool = True
    is_gated: bool = False
    first_norm: bool = True
    kernel_std: float = 0.0

    def kernel_init(self, otherwise: nn.initializers.Initializer = xavier_uniform):
        """The initialiser of kernels; `otherwise` where `kernel_std` is 0."""
        std = self.kernel_std
        # Of the distribution before the cut, as released code has it: .88 of it remains.
        return jax.nn.initializers.truncated_normal(std) if std else otherwise


@jax.custom_vjp
def _wide_product(
    rows: Float[Array, "R D_in"], kernel: Float[Array, "D_in D_out"]
) -> Float[Array, "R D_out"]:
    """The product of two matrices; its gradient multiplies by a transposed copy on CPUs.

    Eigen multiplies by a wide kernel's columns more slowly than it copies and multiplies. The
    copies of all layers are there at once: XLA makes them at the beginning.
    """
    return rows @ kernel


def _wide_product_forward(rows, kernel):
    return rows @ kernel, (rows, kernel)


def _wide_product_backward(residuals, g):
    rows, kernel = residuals
    if len(g) < WIDE:  # a copy would cost as much as the product
        return g @ kernel.T, rows.T @ g
    copied = lambda kernel: jax.lax.optimization_barrier(kernel.T)  # noqa: E731
    transposed = jax.lax.platform_dependent(kernel, cpu=copied, default=jnp.transpose)
    return g @ transposed, rows.T @ g


_wide_product.defvjp(_wide_product_forward, _wide_product_backward)


class Dense(nn.Module):
    """A linear map of the last axis, computed as one flat matrix product.

    Flattening the leading axes matters: XLA:CPU computes the weight gradient of a batched product
    several times slower than that of the same product with one row axis.

    Attributes:
        features: Width of the output.
        dtype: Compute dtype; the parameters stay float32.
        kernel_init: Initialiser of the kernel [D_in, features].
        has_bias: Whether a bias is added.
        bias_init: Initialiser of the bias [features].
    """

    features: int
    dtype: DType = jnp.float32
    kernel_init: nn.initializers.Initializer = xavier_uniform
    has_bias: bool = True
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "*b D_in"]) -> Float[Array, "*b D_out"]:
        """Maps the last axis of `x` to `features` numbers."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        rows = x.reshape(-1, x.shape[-1]).astype(self.dtype)
        product = _wide_product if min(kernel.shape) >= WIDE else jnp.matmul
        y = product(rows, kernel.astype(self.dtype))
        if self.has_bias:
            bias = self.param("bias", self.bias_init, (self.features,))
            y = y + bias.astype(self.dtype)[None]
        return y.reshape(*x.shape[:-1], self.features)


def _normal_cdf(x: Array) -> tuple[Array, Array]:
    """Phi(x) by Abramowitz & Stegun 7.1.26 (error below 1e-7), and exp(-x^2 / 2)."""
    exponential = jnp.exp(-0.5 * x * x)
    t = 1 / (1 + (0.3275911 / 2**0.5) * jnp.abs(x))
    series = 1.061405429
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + coefficient
    upper_tail = 0.5 * series * t * exponential
    return jnp.where(x < 0, upper_tail, 1 - upper_tail), exponential


@jax.custom_vjp
def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Exact GELU, x Phi(x), to float32 accuracy (Hendrycks & Gimpel 2016, section 2).

    The error function comes from one exponential and a polynomial, which XLA:CPU evaluates about
    three times faster than its own erf. The backward pass keeps `x` alone and computes both again.

    >>> [round(float(v), 4) for v in gelu(jnp.array([-1.0, 0.0, 2.0]))]
    [-0.1587, 0.0, 1.9545]
    """
    x32 = x.astype(jnp.float32)
    return (x32 * _normal_cdf(x32)[0]).astype(x.dtype)


def _gelu_forward(x):
    return gelu(x), x


def _gelu_backward(x, g):
    # By a 1 that XLA does not see: it would merge the exponentials of both passes, and write and
    # read them in memory.
    x32 = x.astype(jnp.float32) * jax.lax.optimization_barrier(jnp.float32(1))
    cdf, exponential = _normal_cdf(x32)
    slope = cdf + x32 * exponential * (2 * math.pi) ** -0.5
    return ((slope * g).astype(x.dtype),)


gelu.defvjp(_gelu_forward, _gelu_backward)


def drop_path(
    x: Float[Array, "B *rest"], rate: float, keys: Key[Array, "B"] | None
) -> Float[Array, "B *rest"]:
    """Drops the whole residual branch of an example with probability `rate`.

    Stochastic depth (Huang et al. 2016), with one key an example so that the outcome does not
    depend on how a batch is split over devices.

    Args:
        x: Output of a residual branch.
        rate: Probability in [0, 1) of dropping it.
        keys: One key an example, or None at evaluation.

    Returns:
        `x` with dropped examples zero and the others scaled by 1 / (1 - rate).
    """
    if keys is None or rate == 0.0:
        return x
    is_kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate))(keys)
    scale = (is_kept / (1 - rate)).astype(x.dtype)
    return x * scale.reshape(-1, *[1] * (x.ndim - 1))


def dropout(
    x: Float[Array, "B *rest"], rate: float, keys: Key[Array, "B"] | None
) -> Float[Array, "B *rest"]:
    """Drop each number with probability `rate` (Srivastava et al. 2014, section 4).

    One key an example, as `drop_path`. A number takes 8 random bits, a quarter of what a float
    would, so the rate is rounded to a multiple of 1/256; the scale is that of the rounded one.

    Args:
        x: activations.
        rate: probability in [0, 1).
        keys: one key an example, or None at evaluation.

    Returns:
        `x` with dropped numbers zero and the others scaled by 1 / (1 - rate).
    """
    threshold = round(rate * 256)
    if keys is None or threshold == 0:
        return x
    size = math.prod(x.shape[1:])
    words = jax.vmap(lambda key: jax.random.bits(key, (-(-size // 4),), jnp.uint32))(keys)
    draws = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(len(x), -1)[:, :size]
    scale = jnp.asarray(256 / (256 - threshold), x.dtype)
    return jnp.where(draws.reshape(x.shape) >= threshold, x * scale, jnp.zeros((), x.dtype))


class Mlp(nn.Module):
    """Dense, exact GELU, Dense (Vaswani et al. 2017, section 3.3, with GELU).

    Attributes:
        hidden: Width between the two.
        dtype: Compute dtype.
        dropout_rate: Probability of dropping each number between the two.
        style: Whether it has biases and a gate: GELU(x A) * (x B), then Dense.
    """

    hidden: int
    dtype: DType = jnp.float32
    dropout_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L D"], drop_keys: Key[Array, "B"] | None = None
    ) -> Float[Array, "B L D"]:
        """Maps each position on its own; one key an example for dropout, None at evaluation."""
        options = (self.dtype, self.style.kernel_init(), self.style.has_bias)
        y = gelu(Dense(self.hidden, *options, name="fc1")(x))
        if self.style.is_gated:
            y = y * Dense(self.hidden, *options, name="gate")(x)
        y = dropout(y, self.dropout_rate, drop_keys)
        return Dense(x.shape[-1], *options, name="fc2")(y)


def layer_norm(
    dtype: DType, name: str, epsilon: float = layer_norm_epsilon, has_bias: bool = True
) -> nn.LayerNorm:
    """LayerNorm (Ba et al. 2016); statistics in float32.

    Args:
        dtype: Compute dtype of the output.
        name: Name of the submodule.
        epsilon: Added to the variance; by default the reference's.
        has_bias: Whether a bias is added.

    Returns:
        The module.
    """
    return nn.LayerNorm(epsilon=epsilon, dtype=dtype, use_bias=has_bias, name=name)
