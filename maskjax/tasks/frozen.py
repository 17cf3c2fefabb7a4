"""An encoder as it is: nothing is learned, and probes say what its features are worth."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from maskjax.models.architecture import Architecture, architecture_of
from maskjax.models.head import pooled
from maskjax.models.patches import grid_shape, patchify
from maskjax.tasks.options import check_choice, patch_grid
from maskjax.tasks.task import Context, Output, Sums, Task
from maskjax.tasks.vit import build_model
from maskjax.typing import Array, Batch, Float, Key, Params

POOLS = ("mean", "class", "both")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frozen(Task):
    """An encoder whose parameters come from elsewhere.

    Attributes:
        encoder: the encoder; its parameters are "encoder/...".
        shape: sizes of one example, channels last.
        patch_size: one side an axis.
        pool: what features are: "mean" of the patch tokens, the "class" token, or "both".
        feature_blocks: how many of the last blocks' outputs make up the features, side by side.
    """

    encoder: Any
    shape: tuple[int, ...]
    patch_size: tuple[int, ...]
    pool: str
    feature_blocks: int
    loss_label = ""
    leaves_out = ("^(?!encoder/)", "^encoder/mask_token$")

    @property
    def positions_per_example(self) -> int:
        """The patches."""
        return math.prod(grid_shape(self.shape, self.patch_size))

    @property
    def architecture(self) -> Architecture:
        """Of the encoder."""
        return architecture_of(self, self.shape, self.patch_size, self.pool)

    @property
    def width(self) -> int:
        """D, numbers of the features."""
        return self.encoder.width * self.feature_blocks * (2 if self.pool == "both" else 1)

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw an untrained encoder."""
        patches = patchify(jnp.zeros((1, *self.shape)), self.patch_size)
        return {"encoder": self.encoder.init(key, patches)["params"]}

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Sum up nothing: 0."""
        count = jnp.asarray(batch["is_valid"]).sum(dtype=jnp.float32)
        return Sums(jnp.zeros_like(count), count)

    def tokens(self, params: Params, batch: Batch) -> Float[Array, "B tokens D"]:
        """All tokens of whole examples, the class token first, float32."""
        patches = patchify(batch["inputs"], self.patch_size)
        found: Any = self.encoder.apply(
            {"params": params["encoder"]}, patches, num_outputs=self.feature_blocks
        )
        return found.astype(jnp.float32)

    def outputs(self) -> Mapping[str, Output]:
        """Name "features" [B, D]."""

        def features(params: Params, batch: Batch, context: Context) -> Array:
            del context
            return pooled(self.tokens(params, batch), self.pool)

        return {"features": features}


def encoder_parts(config: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Make the fields of `Frozen` that a config describes.

    Args:
        config: the whole config; "model", "mask" and "init_from.path" are read.
        shape: sizes of one example.

    Raises:
        ValueError: a size, patch size or dtype that does not fit.
    """
    model = config.model
    check_choice("model.pool", model.pool, POOLS)
    patch_size = tuple(model.patch_size)
    grid = patch_grid(shape, patch_size)
    module, _ = build_model(config, grid, math.prod(patch_size) * shape[-1])
    if not config.init_from.path:
        logging.warning(
            "The encoder is untrained, a baseline: --config.init_from.path=RUN takes that of a run."
        )
    return {
        "encoder": module.encoder,
        "shape": shape,
        "patch_size": patch_size,
        "pool": model.pool,
        "feature_blocks": model.feature_blocks,
    }


def check_labelled(config: Any, data: Any) -> int:
    """Return the number of classes, at least two.

    Raises:
        ValueError: there are fewer.
    """
    count = getattr(data, "num_classes", None)
    if count is None or count < 2:
        raise ValueError(
            f"task {config.task!r} needs labels of two classes or more, and data.source "
            f"{config.data.source!r} has {count or 'none'}: set it to labelled data"
        )
    return count


def build(config: Any, data: Any) -> Frozen:
    """Make the task that a config describes; arguments and errors are those of `encoder_parts`.

    Raises:
        ValueError: also where something is to be trained, or there is nothing to judge by.
    """
    check_labelled(config, data)
    if config.total_steps:
        raise ValueError(
            f"task 'frozen' trains nothing, and total_steps is {config.total_steps}: set it to 0"
        )
    task = Frozen(**encoder_parts(config, tuple(data.shape)))
    batch = {"inputs": jnp.zeros((1, *task.shape))}
    jax.eval_shape(lambda: task.tokens(task.init(jax.random.key(0)), batch))  # what does not fit
    return task
