"""The hardest positions, more of them with time: from easy to hard."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.masking.checks import as_integers, check_number, check_whole, per_position
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key

# A float32 product that falls short of a whole number by less than this is that number.
_ROUNDING = 1e-4


@register("hard_patches", on=("image", "text", "audio", "sequence"))
def hard_patches(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    losses: Float[Array, "L"],
    share: int | float | Float[Array, ""] = 0.5,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides the positions with the largest losses first and the rest at random.

    Wang et al. 2023 (HPM, Hard Patches Mining, section 3, easy-to-hard mask generation):
    h = int(share * num_masked) of the hidden positions are the hardest, with `hard_share` for the
    share. Equal losses are ordered at random; the authors' code prefers the later position.

    A position among the h hardest is hidden for certain, any other with probability
    (num_masked - h) / (L - h) where all are candidates; the count is that of the cut, exactly:
    `draw` and `draw_counts` at `num_masked`. The hardest alone are no published mask, so that
    `draw_chosen` refuses this rule.

    Args:
        key: drives the random rest and the order of equal losses.
        grid: positions along each axis.
        num_masked: how many positions are hidden in all.
        losses: predicted or running losses, the higher the harder; -inf is never among the hardest.
        share: of the hidden positions, in [0, 1]; a traced one outside is clipped. A product within
            1e-4 of the next whole number counts as that, so that float32 and Python agree.
        is_candidate: False where a position must stay visible.

    Returns:
        U[.5, 1) for the h hardest, U[0, .5) for the others, -inf where not a candidate.

    Raises:
        ValueError: losses of another length, or a static share outside [0, 1].

    Examples:
        >>> losses = jnp.array([0.1, 0.9, 0.3, 0.8])
        >>> scores = hard_patches(jax.random.key(0), (4,), 4, losses=losses, share=0.5)
        >>> (scores >= 0.5).astype(int).tolist()
        [0, 1, 0, 1]
    """
    losses = per_position("losses", losses, grid)
    length = losses.size
    if not isinstance(share, Tracer):
        share = check_number("share", share)
    if not isinstance(share, Tracer) and not 0 <= share <= 1:
        raise ValueError(f"share {share} of the hardest positions must be from 0 to 1")
    if is_candidate is not None:
        losses = jnp.where(is_candidate, losses, -jnp.inf)
    product = jnp.clip(jnp.float32(share), 0, 1) * jnp.asarray(num_masked, jnp.float32)
    num_hard = jnp.floor(product + _ROUNDING).astype(jnp.int32)
    tie_key, noise_key = jax.random.split(key)
    order = jnp.lexsort((jax.random.uniform(tie_key, (length,)), losses))
    rank = jnp.argsort(order)
    is_hard = (rank >= length - num_hard) & (losses != -jnp.inf)
    scores = (jax.random.uniform(noise_key, (length,)) + is_hard.astype(jnp.float32)) / 2
    return scores if is_candidate is None else jnp.where(is_candidate, scores, -jnp.inf)


def hard_share(
    epoch: int | Int[Array, ""], num_epochs: int, *, max_share: int | float = 0.5
) -> float | Float[Array, ""]:
    """The share of `hard_patches` in an epoch: from easy to hard.

    Wang et al. 2023 (HPM, section 3) as in the authors' code: max_share (epoch + 1) / num_epochs.

    Args:
        epoch: the first is 0; a traced one beyond the last counts as the last.
        num_epochs: at least 1.
        max_share: share of the hardest in the last epoch, in [0, 1].

    Returns:
        A share in [0, max_share].

    Raises:
        ValueError: `num_epochs` below 1, a static epoch outside them, a share outside [0, 1].

    Examples:
        >>> hard_share(0, 200), hard_share(199, 200)
        (0.0025, 0.5)
    """
    check_whole("num_epochs", num_epochs, least=None)
    is_static = isinstance(epoch, int | np.integer)
    if num_epochs < 1 or (is_static and not 0 <= epoch < num_epochs):
        raise ValueError(f"epoch {epoch} of {num_epochs}: epochs count from 0 to num_epochs - 1")
    max_share = check_number("max_share", max_share)
    if not 0 <= max_share <= 1:
        raise ValueError(f"max_share {max_share} must be from 0 to 1; HPM uses 0.5")
    if is_static:
        return max_share * (int(epoch) + 1) / num_epochs
    return max_share * (jnp.clip(as_integers("epoch", epoch), 0, num_epochs - 1) + 1) / num_epochs
