"""Attention heads of a text encoder that see less than everything while it learns."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.masking.attention import AttentionMask, Ids
from maskjax.models.sizes import Size
from maskjax.tasks.task import Context
from maskjax.typing import Array, Float, Int, Key

_FOLD = 3  # keeps these draws apart from the masking rule's and from dropout's


@dataclasses.dataclass(frozen=True)
class HeadMasks:
    """Masks of heads that change in training; evaluations and answers have none.

    The first `near` heads of each block see `window` tokens on either side at step 0, and with the
    steps evenly more, up to the whole row at the last (windows that grow while a model learns:
    Beltagy et al. 2020, Longformer, section 4.2). Every head of every block is left out of an
    example by chance, and those that stay give more for it, H / kept (Zhou et al. 2020, Scheduled
    DropHead, section 3.1).

    Attributes:
        shape: (blocks, heads of each).
        length: L, tokens of a row.
        total_steps: of the run.
        near: heads of each block that look near; 0 = none.
        window: tokens that they see on either side at first.
        drop: chance that a head is left out.
    """

    shape: tuple[int, int]
    length: int
    total_steps: int
    near: int = 0
    window: int = 8
    drop: float = 0.0

    def __post_init__(self):
        """Refuse what does not fit the heads."""
        count = self.shape[1]
        if not 0 <= self.near <= count:
            raise ValueError(f"model.near_heads {self.near} must be from 0 to the {count} heads")
        if not 1 <= self.window <= self.length:
            raise ValueError(
                f"model.near_window {self.window} must be from 1 to the {self.length} tokens of a "
                "row (data.max_length)"
            )
        if not 0 <= self.drop < 1:
            raise ValueError(f"model.drop_heads {self.drop} must be at least 0 and below 1")

    def of(self, context: Context) -> dict[str, Any]:
        """Make what the model takes beside its inputs, as arrays: a step compiles once.

        Args:
            context: step and keys.
        """
        found: dict[str, Any] = {}
        if not context.train:
            return found
        if self.near:
            found["attention_mask"] = self._near(jnp.asarray(context.step))
        if self.drop:
            found["head_weights"] = self._weights(context.keys)
        return found

    def _near(self, step: Int[Array, ""]) -> AttentionMask:
        progress = jnp.minimum(step.astype(jnp.float32) / max(self.total_steps, 1), 1.0)
        side = jnp.round(self.window + (self.length - self.window) * progress).astype(jnp.int32)
        near = AttentionMask(_within, {"side": side})
        far = masking.attention.sliding_window(left=None, right=None)
        masks = [near] * self.near + [far] * (self.shape[1] - self.near)
        return masking.attention.per_head(masks=masks)

    def _weights(self, keys: Key[Array, "B"]) -> Float[Array, "B depth H"]:
        def draw(key: Key[Array, ""]) -> Array:
            return jax.random.bernoulli(jax.random.fold_in(key, _FOLD), 1 - self.drop, self.shape)

        kept = jax.vmap(draw)(keys).astype(jnp.float32)
        return kept * self.shape[1] / jnp.maximum(kept.sum(-1, keepdims=True), 1)


def _within(ids: Ids, side: Array) -> Array:
    return abs(ids.key - ids.query) <= side


def head_masks(config: Any, size: Size, length: int) -> HeadMasks | None:
    """Make the masks of a config, None where all heads see everything.

    Args:
        config: the whole config; "total_steps" and of "model" near_heads, near_window and
            drop_heads are read, where it has them.
        size: of the encoder.
        length: tokens of a row.

    Raises:
        ValueError: a value that does not fit; the message names the key.
    """
    names = {"near": "near_heads", "window": "near_window", "drop": "drop_heads"}
    given = {name: config.model[key] for name, key in names.items() if key in config.model}
    shape = (size.depth, size.num_heads)
    made = HeadMasks(shape, length, config.total_steps, **given)
    if not (made.near or made.drop):
        return None
    if config.model.get("kept", ()):
        raise ValueError(
            f"model.near_heads {made.near} and model.drop_heads {made.drop} are for blocks with as "
            "many heads each, and this network lost some (model.kept): set both to 0"
        )
    return made
