"""Head masks: how much each attention head matters, and the cut of those that matter least."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.masking.checks import as_array, as_counts, as_flags, as_grid, as_wide, check_shapes
from maskjax.masking.core import cut_counts, lowest
from maskjax.typing import Array, Bool, Float, Int, PyTree


def scale_heads(
    x: Float[Array, "B L H D"], head_weights: Float[Array, "*B H"]
) -> Float[Array, "B L H D"]:
    """Weights what each head gives, before the heads are mixed: the xi of Michel et al. 2019.

    Michel et al. 2019 (Are Sixteen Heads Really Better than One?, section 2.3).

    Args:
        x: outputs of the heads, from `attention.attend`.
        head_weights: xi, 1 = as it is, 0 = no head; the same for all examples or one row each.

    Returns:
        x, each head times its weight.

    Raises:
        ValueError: weights that are not one per head, or one per head of each example.

    Examples:
        >>> scale_heads(jnp.ones((1, 1, 2, 1)), jnp.array([1.0, 0.0]))[0, 0, :, 0].tolist()
        [1.0, 0.0]
    """
    x, head_weights = as_array("x", x), as_array("head_weights", head_weights)
    if x.ndim != 4 or head_weights.shape not in (x.shape[2:3], (x.shape[0], x.shape[2])):
        raise ValueError(
            f"head_weights of shape {head_weights.shape} for x of shape {x.shape}: give x "
            "[B, L, H, D] and one weight per head of this layer, [H], or of each example, [B, H]"
        )
    return x * head_weights.astype(x.dtype).reshape(-1, 1, x.shape[2], 1)


def importance(
    loss: Callable[[Array, Any], Array],
    shape: tuple[int, ...],
    examples: PyTree,
    *,
    is_valid: Bool[Array, "B"] | None = None,
) -> Float[Array, "*heads"]:
    """How much the loss depends on each head: E |dLoss / dxi_h| at xi = 1.

    Michel et al. 2019 (Are Sixteen Heads Really Better than One?, section 4.1): the
    absolute value of each example's gradient, then the mean. Implementations that take the absolute
    value of a batch's gradient let examples of opposite signs cancel.

    Args:
        loss: `(head_weights, example) -> loss` of one example; it gives the weights, of that
            shape, to `scale_heads`. Other arguments, such as parameters, are closed over.
        shape: of the weights: (H,), or (depth, H) for a weight per layer.
        examples: arrays of one row per example.
        is_valid: False for examples that do not count.

    Returns:
        The importance of each head, at least 0; zeros where no example counts. Batches of as many
        valid examples may be averaged.

    Raises:
        ValueError: flags that are not boolean, or not one per example.

    Examples:
        >>> loss = lambda head_weights, x: (head_weights * x).sum()
        >>> importance(loss, (2,), jnp.array([[1.0, 3.0], [-1.0, 1.0]])).tolist()
        [1.0, 2.0]
    """
    shape = (shape,) if isinstance(shape, int) else as_grid(shape)
    gradients = jax.vmap(jax.grad(loss), in_axes=(None, 0))(jnp.ones(shape), examples)
    if is_valid is None:
        is_valid = jnp.ones(len(gradients), bool)
    is_valid = as_flags("is_valid", is_valid)
    check_shapes("examples", gradients.shape[:1], is_valid=is_valid)
    # A sum and no product: an accelerator multiplies float32 in fewer bits.
    columns = is_valid.reshape(-1, *(1,) * (gradients.ndim - 1))
    total = jnp.where(columns, abs(gradients), 0).sum(axis=0)
    return total / jnp.maximum(is_valid.sum(), 1)


def normalize_layers(importance: Float[Array, "depth H"]) -> Float[Array, "depth H"]:
    """Divides the importance of each layer's heads by its Euclidean norm.

    Michel et al. 2019 (section 4.1), after Molchanov et al. 2017: without it whole
    layers go first.

    Args:
        importance: of each head, averaged over all examples.

    Returns:
        Rows of norm 1, float32 at least; a row of zeros stays.

    Examples:
        >>> normalize_layers(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    importance = as_wide("importance", importance)
    norm = jnp.linalg.norm(importance, axis=-1, keepdims=True)
    return importance / jnp.where(norm > 0, norm, 1)


def cut_heads(
    importance: Float[Array, "*depth H"],
    num_masked: int | Int[Array, ""],
    *,
    keep_one_per_layer: bool = False,
) -> Bool[Array, "*depth H"]:
    """Hides the least important heads of all layers together.

    Michel et al. 2019 (section 4.1). The score of a head is minus its importance; of equal ones
    the first is kept.

    Args:
        importance: [H], or [depth, H]; a head of NaN goes first.
        num_masked: how many heads go. A traced count above what can go takes all that can.
        keep_one_per_layer: the most important head of each layer stays, for a layer without heads
            only passes on what it got.

    Returns:
        head_masks: True = kept. `attention.kept_heads` and, as numbers, `scale_heads` take a row.

    Raises:
        ValueError: a count that is a ratio or not one number, or not traced and below 0 or above
            what can go.

    Examples:
        >>> scores = jnp.array([[5.0, 4.0], [2.0, 1.0]])
        >>> cut_heads(scores, 2).astype(int).tolist()
        [[1, 1], [0, 0]]
        >>> cut_heads(scores, 2, keep_one_per_layer=True).astype(int).tolist()
        [[1, 0], [1, 0]]
    """
    importance = as_array("importance", importance)
    layers = -importance.reshape(-1, importance.shape[-1])
    limit = layers.size - (len(layers) if keep_one_per_layer else 0)
    num_masked = as_counts(num_masked, limit, "heads that can go")
    if shape := jnp.shape(num_masked):
        raise ValueError(f"num_masked of shape {shape}: give one count, of all layers")
    if keep_one_per_layer:
        layers = layers.at[jnp.arange(len(layers)), lowest(layers)].set(-jnp.inf)
    is_masked = cut_counts(layers.reshape(-1), jnp.asarray(num_masked))
    return ~is_masked.reshape(importance.shape)
