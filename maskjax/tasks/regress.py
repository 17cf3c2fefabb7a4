"""Which numbers stand beside an example: fine-tuning of an encoder with a linear head."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from maskjax.evaluation.metrics import Metric
from maskjax.evaluation.regression import regression
from maskjax.tasks.mixing import GROUP
from maskjax.tasks.options import check_choice
from maskjax.tasks.supervised import Supervised, supervised_parts, try_out
from maskjax.typing import Array, Batch, Float

KINDS = ("l2", "l1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regress(Supervised):
    """Predict numbers; the loss is that of (target - centre) / scale, the mean over an example's.

    Batches have "targets" [B, T]. Metrics are in the targets' own units.

    Attributes:
        num_targets: T.
        centre: near the targets' mean.
        scale: near their standard deviation.
        kind: "l2", the mean square error, or "l1", the mean absolute one.
    """

    num_targets: int
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    kind: str

    @property
    def loss_label(self) -> str:
        """The loss and its unit."""
        error = {"l2": "mean square error", "l1": "mean absolute error"}[self.kind]
        return f"{error}, (target - centre) / scale"

    def targets(self, batch: Batch) -> Float[Array, "B T"]:
        """Targets in the units of the loss."""
        return (jnp.asarray(batch["targets"]) - self._row(self.centre)) / self._row(self.scale)

    def errors(
        self, outputs: Float[Array, "B T"], targets: Float[Array, "B T"], is_train: bool
    ) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """The mean error of an example."""
        del is_train
        distance = outputs - targets
        error = jnp.square(distance) if self.kind == "l2" else jnp.abs(distance)
        return error.mean(1), jnp.ones(len(outputs))

    def metrics(
        self,
        outputs: Float[Array, "B T"],
        targets: Float[Array, "B T"],
        batch: Batch,
        weights: Float[Array, "B"],
        is_train: bool,
    ) -> dict[str, Metric]:
        """In evaluation "mse", "rmse", "mae" and "r2"."""
        if is_train:
            return {}
        predicted = outputs * self._row(self.scale) + self._row(self.centre)
        true = jnp.asarray(batch["targets"])
        return regression(predicted, true, weights, around=jnp.array(self.centre))

    def _row(self, values: tuple[float, ...]) -> Float[Array, "1 T"]:
        return jnp.array(values)[None]


def build(config: Any, data: Any) -> Regress:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model", "loss", "mix", "mask" and "total_steps" are read.
        data: has `shape` and `num_targets`.

    Returns:
        The task.

    Raises:
        ValueError: an option that does not fit, or data without targets; the message says what to
            do.
    """
    loss, count = config.loss, getattr(data, "num_targets", 0)
    if not count:
        raise ValueError(
            f"task 'regress' on data without targets (data.source {config.data.source!r}): use "
            "array:FILE.npz with targets_train beside x_train, or a source of your own whose "
            "records have 'targets'"
        )
    check_choice("loss.kind", loss.kind, KINDS)
    task = Regress(
        **supervised_parts(config, data, count),
        num_targets=count,
        centre=_each("centre", loss.centre, count),
        scale=_each("scale", loss.scale, count),
        kind=loss.kind,
    )
    if any(not 0 < scale < math.inf for scale in task.scale):
        raise ValueError(f"loss.scale {task.scale} must be above 0 and finite")
    try_out(task, {"targets": jnp.zeros((GROUP, count))})
    return task


def _each(name: str, given: Any, count: int) -> tuple[float, ...]:
    """One number a target, or one for all."""
    values = tuple(float(value) for value in given)
    if len(values) not in (1, count):
        raise ValueError(
            f"loss.{name} holds {len(values)} numbers for {count} targets: give one for all, or "
            "one a target"
        )
    return values * count if len(values) == 1 else values
