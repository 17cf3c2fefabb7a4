"""Mixup and CutMix: each example is mixed with its neighbour in the batch, and so is its target.

Places 2i and 2i + 1 of the global batch are partners: `Task.group_size` keeps them on one device
and in one micro-batch, so that any number of either mixes the same rows. The order of the examples
is a fresh permutation in every epoch, and so are the pairs. What is drawn comes from each example's
own key, as in the element-wise mode of timm's Mixup; the reference MAE draws once a batch.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.typing import Array, Bool, Float, Key

GROUP = 2
_FOLD = 2  # keeps these draws apart from those of masks and drop path


@dataclasses.dataclass(frozen=True)
class Mixing:
    """How examples are mixed in training.

    Attributes:
        mixup: alpha of mixup's Beta(alpha, alpha); 0 = off.
        cutmix: alpha of CutMix's; 0 = off.
        switch: where both are on, the chance that it is CutMix.
        probability: chance that an example is mixed at all.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    switch: float = 0.5
    probability: float = 1.0

    @property
    def is_on(self) -> bool:
        """Whether anything is mixed."""
        return self.probability > 0 and (self.mixup > 0 or self.cutmix > 0)

    def __call__(
        self,
        inputs: Float[Array, "B *shape"],
        targets: Float[Array, "B T"],
        keys: Key[Array, "B"],
        is_valid: Bool[Array, "B"],
    ) -> tuple[Float[Array, "B *shape"], Float[Array, "B T"]]:
        """Mix each example with its partner.

        Args:
            inputs: channels last.
            targets: one-hot classes, or anything else that may be mixed linearly.
            keys: one an example.
            is_valid: False for what only fills a batch: its partner stays as it is.

        Returns:
            Inputs and targets; an example keeps a share of its own target that is lambda with
            mixup (Zhang et al. 2018, equation 1), and the share of the input that is its own with
            CutMix (Yun et al. 2019, equation 1).
        """
        fold = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, _FOLD), 5))
        coin, which, blend, cut, place = fold(keys).T
        chance = jax.vmap(jax.random.uniform)
        is_mixed = (chance(coin) < self.probability) & partners(is_valid)
        is_cut = chance(which) < self._share_of_cutmix
        own = beta(blend, self.mixup) if self.mixup else jnp.ones(len(keys))
        shape = inputs.shape[1:-1]
        weights = jnp.broadcast_to(_frame(own, len(shape)), (len(keys), *shape))
        if self.cutmix:
            is_outside = ~boxes(place, beta(cut, self.cutmix), shape)
            kept = is_outside.reshape(len(keys), -1).mean(1)
            own = jnp.where(is_cut, kept, own)
            weights = jnp.where(_frame(is_cut, len(shape)), is_outside, weights)
        own = jnp.where(is_mixed, own, 1.0)
        weights = jnp.where(_frame(is_mixed, len(shape)), weights, 1.0)[..., None]
        mix = lambda x, share: share * x + (1 - share) * partners(x)  # noqa: E731
        return mix(inputs, weights), mix(targets, own[:, None])

    @property
    def _share_of_cutmix(self) -> float:
        return self.switch if self.mixup and self.cutmix else float(self.cutmix > 0)


def partners(x: Array) -> Array:
    """Each row's partner: rows 2i and 2i + 1 change places.

    >>> partners(jnp.array([10, 11, 12, 13])).tolist()
    [11, 10, 13, 12]
    """
    return x.reshape(-1, GROUP, *x.shape[1:])[:, ::-1].reshape(x.shape)


def beta(keys: Key[Array, "B"], alpha: float) -> Float[Array, "B"]:
    """Draw Beta(alpha, alpha) for each key."""
    return jax.vmap(lambda key: jax.random.beta(key, alpha, alpha))(keys)


def boxes(
    keys: Key[Array, "B"], own: Float[Array, "B"], shape: tuple[int, ...]
) -> Bool[Array, "B *shape"]:
    """Draw CutMix's box of each example (Yun et al. 2019, section 3.2, equation 2).

    A box has sides (1 - own)^(1/n) of the input's n axes, rounded down, and a uniform centre; what
    lies outside of the input is cut off, so that it may be smaller: the share of the input that is
    left must be counted again.

    Args:
        keys: one an example.
        own: the share of the input that a whole box leaves.
        shape: sizes of the input without channels.

    Returns:
        True within the box.
    """
    inside = jnp.ones((len(keys), *(1 for _ in shape)), bool)
    for axis, size in enumerate(shape):
        draw = lambda key, axis=axis, size=size: jax.random.randint(  # noqa: E731
            jax.random.fold_in(key, axis), (), 0, size
        )
        centre = jax.vmap(draw)(keys)
        half = (size * (1 - own) ** (1 / len(shape))).astype(jnp.int32) // 2
        places = jnp.arange(size)[None]
        here = (places >= (centre - half)[:, None]) & (places < (centre + half)[:, None])
        inside = inside & here.reshape(-1, *(size if i == axis else 1 for i in range(len(shape))))
    return inside


def _frame(x: Array, num_axes: int) -> Array:
    """One value an example, with so many axes of one entry."""
    return x.reshape(-1, *(1 for _ in range(num_axes)))


def make_mixing(options: Any) -> Mixing:
    """Read `config.mix`; None is none.

    Raises:
        ValueError: a number out of range; the message names the key.
    """
    if options is None:
        return Mixing()
    for name in ("mixup", "cutmix"):
        if not 0 <= options[name] < float("inf"):
            raise ValueError(
                f"mix.{name} {options[name]} must be at least 0, which is off, and finite: it is "
                "the alpha of Beta(alpha, alpha), as 0.8"
            )
    for name in ("switch", "probability"):
        if not 0 <= options[name] <= 1:
            raise ValueError(f"mix.{name} {options[name]} must be from 0 to 1: it is a chance")
    return Mixing(**options)
