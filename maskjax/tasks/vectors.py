"""Masked autoencoding of plain vectors with a multilayer perceptron, as tutorials show it."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from maskjax import masking
from maskjax.data.image.vectors import correlation, covariance
from maskjax.evaluation.gaussian import least_error
from maskjax.evaluation.metrics import Mean, Metric
from maskjax.evaluation.panels import ArrayPanel
from maskjax.models.mlp import Mlp, flops
from maskjax.tasks.options import check_choice
from maskjax.tasks.task import Context, Output, Sums, Task
from maskjax.typing import Array, Batch, Bool, Float, Key, Params

FILLS = {
    "noise": masking.fill_noise,
    "zero": lambda x, is_masked, keys: masking.fill_zero(x, is_masked),
}
# All subsets are gone through for the best possible error.
_MOST_SUBSETS = 20_000


@dataclasses.dataclass(frozen=True)
class MaskedVectors(Task):
    """Replace some entries of a vector, predict the first so many.

    Attributes:
        model: a perceptron.
        shape: of an example; its numbers in order are the vector.
        rule: masking rule, None to hide nothing (a plain autoencoder).
        num_masked: entries that are hidden.
        fill: what they become, "noise" or "zero".
        on: targets that count in the loss, "masked" or "all".
        best: least possible loss, None where nobody knows it.
    """

    model: Any
    shape: tuple[int, ...]
    rule: masking.Rule | None
    num_masked: int
    fill: str
    on: str
    best: float | None

    @property
    def length(self) -> int:
        """L, entries of a vector."""
        return math.prod(self.shape)

    @property
    def loss_label(self) -> str:
        """The loss and its unit."""
        which = "hidden entries" if self.on == "masked" else "all entries"
        return f"mean square error, {which}, normalised input"

    @property
    def flops_per_example(self) -> float:
        """Of a training step."""
        return flops((self.length, *self.model.hidden, self.model.width_out))

    @property
    def positions_per_example(self) -> int:
        """The entries."""
        return self.length

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters."""
        return self.model.init(key, jnp.zeros((1, self.length)))["params"]

    def _vectors(self, batch: Batch) -> Float[Array, "B L"]:
        return jnp.asarray(batch["inputs"]).reshape(-1, self.length)

    def _hide(
        self, x: Float[Array, "B L"], keys: Key[Array, "B"]
    ) -> tuple[Float[Array, "B L"], Bool[Array, "B L"]]:
        """What the model sees, and where that is not the input."""
        if self.rule is None:
            return x, jnp.zeros(x.shape, bool)
        hidden = masking.draw(self.rule, keys, (self.length,), self.num_masked)
        return FILLS[self.fill](x, hidden.is_masked, keys), hidden.is_masked

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hide, predict, and sum the squared error over targets.

        The metrics beside it are on the same scale: "constant_loss" of always answering 0, which
        is the mean, and, where the distribution is known, "best_loss", what no prediction can
        undercut.
        """
        x = self._vectors(batch)
        seen, is_masked = self._hide(x, context.keys)
        targets = self.model.width_out
        prediction = self.model.apply({"params": params}, seen)
        weights = jnp.ones_like(x) if self.on == "all" else is_masked.astype(x.dtype)
        if "is_valid" in batch:
            weights = weights * batch["is_valid"][:, None]
        weights, target = weights[:, :targets], x[:, :targets]
        weight = weights.sum()
        metrics: dict[str, Metric] = {"constant_loss": Mean((weights * target**2).sum(), weight)}
        if self.best is not None:
            metrics["best_loss"] = Mean(self.best * weight, weight)
        return Sums((weights * (prediction - target) ** 2).sum(), weight, metrics)

    def outputs(self) -> dict[str, Output]:
        """Of whole vectors: "features", the last hidden layer, and the "prediction"."""

        def features(params: Params, batch: Batch, context: Context) -> Array:
            x = self._vectors(batch)
            return self.model.apply({"params": params}, x, method="encode")

        def prediction(params: Params, batch: Batch, context: Context) -> Array:
            return self.model.apply({"params": params}, self._vectors(batch))

        return {"features": features, "prediction": prediction}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, ArrayPanel]:
        """Vectors as curves; entries that are no target are shown as they were seen."""
        x = self._vectors(batch)
        seen, is_masked = self._hide(x, context.keys)
        found = self.model.apply({"params": params}, seen)
        prediction = jnp.concatenate([found, seen[:, self.model.width_out :]], 1)
        parts = (x, seen, prediction, jnp.where(is_masked, prediction, x), is_masked)
        shaped = [part.reshape(-1, *self.shape) for part in parts]
        absent = jnp.zeros_like(shaped[-1])  # something stands in every place
        only_hidden = self.on == "masked"
        return {"reconstructions": ArrayPanel(*shaped, absent, dim_visible=only_hidden)}  # pyright: ignore


def build(config: Any, data: Any) -> MaskedVectors:
    """Make the task that a config describes.

    Args:
        config: the whole config; "data.source", "mask", "model" and "loss" are read.
        data: has `shape`, the sizes of one example.

    Returns:
        The task.

    Raises:
        ValueError: a rule, fill, count or width that does not fit.
    """
    length = math.prod(data.shape)
    mask, targets = config.mask, config.model.num_targets or length
    check_choice("mask.rule", mask.rule, ("random", "none"))
    check_choice("mask.fill", mask.fill, tuple(FILLS))
    check_choice("loss.on", config.loss.on, ("masked", "all"))
    if not 0 < targets <= length:
        raise ValueError(f"model.num_targets {targets} must be at most {length}, or 0 for all")
    if any(width < 1 for width in config.model.hidden):
        raise ValueError(
            f"model.hidden {tuple(config.model.hidden)} must hold widths of at least 1"
        )
    num_masked = 0 if mask.rule == "none" else _count(mask.ratio, length)
    if not num_masked and config.loss.on == "masked":
        raise ValueError(
            "mask.rule 'none' hides nothing that loss.on 'masked' could count: set it to 'all'"
        )
    return MaskedVectors(
        model=Mlp(tuple(config.model.hidden), targets),
        shape=tuple(data.shape),
        rule=masking.make_rule(mask.rule) if num_masked else None,
        num_masked=num_masked,
        fill=mask.fill,
        on=config.loss.on,
        best=_best(config, length, num_masked, targets),
    )


def _count(ratio: float, length: int) -> int:
    count = masking.num_masked_from_ratio(length, ratio) if 0 < ratio < 1 else 0
    if not 0 < count < length:
        raise ValueError(
            f"mask.ratio {ratio} must hide at least one of {length} entries and leave one, as 0.5 "
            "does; to hide nothing set mask.rule to 'none' and loss.on to 'all'"
        )
    return count


def _best(config: Any, length: int, num_masked: int, targets: int) -> float | None:
    """The least possible loss on Gaussian vectors of a known covariance."""
    rho = correlation(config.data.source)
    if rho is None or math.comb(length, num_masked) > _MOST_SUBSETS:
        return None
    return least_error(covariance(length, rho), num_masked, num_targets=targets, on=config.loss.on)
