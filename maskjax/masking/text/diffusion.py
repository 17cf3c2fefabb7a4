"""Independent draws per token, and masked diffusion: its ratio and the weights of its loss."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.checks import (
    as_array,
    as_flags,
    as_integers,
    check_keys,
    check_number,
    check_shapes,
    check_whole,
    is_number,
    known,
)
from maskjax.masking.core import grid_length
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key

# Folded into keys, so that a rule given the same keys draws its noise from other bits.
_FOLD = 0xD1FF


@register("token_probabilities", on=("text", "audio", "sequence"), chooses=True)
def token_probabilities(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    probabilities: int | float | Float[Array, "L"] | Float[Array, ""],
) -> Float[Array, "L"]:
    """Hides each position with a probability of its own, independently of the others.

    With a table over the vocabulary, `probabilities=table[tokens]`; with one number per example,
    the corruption of masked diffusion (Nie et al. 2025, LLaDA, section 2.1). The rule's own choice
    (`draw_chosen`) hides sum(probabilities) positions on average, and not a fixed count; an exact
    count trims or fills it at random.

    Args:
        key: drives the draws.
        grid: positions along each axis.
        num_masked: not used.
        probabilities: of each position or of all, in [0, 1]; what has 0 is never hidden.

    Returns:
        U[1, 2) for what is hidden, U[0, 1) for the rest, -inf for probability 0.

    Raises:
        ValueError: probabilities for another number of positions, or one that is known and not
            from 0 to 1.

    Examples:
        >>> table, tokens = jnp.array([0.0, 1.0, 0.5]), jnp.array([0, 1, 1, 0, 1])
        >>> scores = token_probabilities(jax.random.key(0), (5,), 3, probabilities=table[tokens])
        >>> (scores >= 1).astype(int).tolist()
        [0, 1, 1, 0, 1]
    """
    length = grid_length(grid)
    probabilities = as_array("probabilities", probabilities)
    if probabilities.shape not in ((), (length,)):
        raise ValueError(
            f"probabilities of shape {probabilities.shape} for {length} positions of grid {grid}: "
            "give one number, or one per position"
        )
    if is_number(probabilities) and not 0 <= known(probabilities) <= 1:
        raise ValueError(f"probabilities {probabilities} must be from 0 to 1, for example 0.15")
    drawn, noise = jax.random.uniform(key, (2, length))
    probabilities = jnp.broadcast_to(probabilities.astype(drawn.dtype), (length,))
    is_drawn = (drawn < probabilities).astype(noise.dtype)
    return jnp.where(probabilities > 0, noise + is_drawn, -jnp.inf)


def diffusion_ratio(
    keys: Key[Array, "B"],
    *,
    eps: float = 1e-3,
    index: Int[Array, "B"] | None = None,
    batch_size: int | None = None,
) -> Float[Array, "B"]:
    """The probability with which masked diffusion hides each token of an example.

    Nie et al. 2025 (LLaDA, released training code): t ~ U[0, 1), p = (1 - eps) t + eps. With
    `index` and `batch_size`, t is drawn in the index-th of batch_size equal parts of [0, 1): the
    low-discrepancy sampler of Sahoo et al. 2024 (MDLM, `antithetic_sampling` of the released code).

    Args:
        keys: one key per example; may be those that draw the masks.
        eps: smallest probability, strictly between 0 and 1.
        index: places of these examples in the global batch.
        batch_size: examples in the global batch; given if and only if index is.

    Returns:
        Probabilities from eps to 1: `probabilities` of `token_probabilities`.

    Raises:
        ValueError: eps outside (0, 1), one of index and batch_size without the other, or keys or
            an index that are not one per example.

    Examples:
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> ratio = diffusion_ratio(keys, index=jnp.arange(4), batch_size=4)
        >>> (ratio * 4).astype(int).tolist()
        [0, 1, 2, 3]
    """
    eps = check_number("eps", eps)
    if not 0 < eps < 1:
        raise ValueError(f"eps {eps} must lie strictly between 0 and 1; LLaDA uses 0.001")
    if (index is None) != (batch_size is None):
        raise ValueError(f"index {index}, batch_size {batch_size}: give both or neither")
    check_keys(keys)
    t = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, _FOLD)))(keys)
    if index is not None and batch_size is not None:
        check_whole("batch_size", batch_size)
        index = as_integers("index", index)
        check_shapes("keys", keys.shape, index=index)
        t = (t + index) / batch_size
    return (1 - eps) * t + eps


class DiffusionWeights(NamedTuple):
    """The weights of masked diffusion's loss, and their expected sum.

    Attributes:
        loss_weights: 1 / p where hidden, 0 elsewhere.
        weight_sum: number of candidates: what to divide the weighted sum of the batch by.
    """

    loss_weights: Float[Array, "B L"]
    weight_sum: Float[Array, ""]


def diffusion_weights(
    is_masked: Bool[Array, "B L"],
    ratio: Float[Array, "B"],
    *,
    is_candidate: Bool[Array, "B L"] | None = None,
) -> DiffusionWeights:
    """The weights of masked diffusion's loss, and what to divide the weighted sum by.

    Nie et al. 2025 (LLaDA, equation 3 and the released training code): cross-entropy at hidden
    positions over p, divided by all positions, hidden or not: a bound on -log-likelihood a token.
    Sahoo et al. 2024 (MDLM, log-linear noise of the released code) hide with p = (1 - eps) t and
    weigh by 1 / t = (1 - eps) / p.

    Args:
        is_masked: True = hidden.
        ratio: p, from `diffusion_ratio`; weights are float32 whatever its dtype.
        is_candidate: positions that could have been hidden (no padding, no prompt); None for all.

    Returns:
        The DiffusionWeights.

    Raises:
        ValueError: a ratio that is not one per example, flags that are not boolean, or candidates
            of another shape.

    Examples:
        >>> is_masked, ratio = jnp.array([[True, False], [True, True]]), jnp.array([0.25, 0.5])
        >>> loss_weights, weight_sum = diffusion_weights(is_masked, ratio)
        >>> loss_weights.tolist(), float(weight_sum)
        ([[4.0, 0.0], [2.0, 2.0]], 4.0)
    """
    is_masked, ratio = as_flags("is_masked", is_masked), as_array("ratio", ratio)
    if is_candidate is None:
        is_candidate = jnp.ones_like(is_masked)
    is_candidate = as_flags("is_candidate", is_candidate)
    check_shapes("examples", is_masked.shape[:1], ratio=ratio)
    check_shapes("is_masked", is_masked.shape, is_candidate=is_candidate)
    weights = jnp.where(is_masked & is_candidate, 1 / ratio.astype(jnp.float32)[:, None], 0.0)
    # Counted in whole numbers: float16 ends at 65504, and float32 adds ones up to 2^24.
    return DiffusionWeights(weights, is_candidate.sum(dtype=jnp.int32).astype(jnp.float32))
