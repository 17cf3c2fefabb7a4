"""Masked autoencoding of plain vectors with a multilayer perceptron, as tutorials show it."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.data.image.vectors import correlation, covariance
from maskjax.evaluation.gaussian import least_error
from maskjax.evaluation.metrics import Mean, Metric
from maskjax.evaluation.panels import ArrayPanel
from maskjax.models.mlp import Mlp, flops
from maskjax.tasks.fills import batch_gate, check_gate, corrupt
from maskjax.tasks.masker import MaskedTask, Masker, make_masker
from maskjax.tasks.options import NONE, check_choice, check_counted, check_some_visible
from maskjax.tasks.task import Context, Output, Sums
from maskjax.typing import Array, Batch, Bool, Float, Key, Params

FILLS = ("noise", "zero", "gate")
# All subsets are gone through for the best possible error.
_MOST_SUBSETS = 20_000


@dataclasses.dataclass(frozen=True)
class MaskedVectors(MaskedTask):
    """Replace some entries of a vector, predict the first so many.

    Attributes:
        model: a perceptron.
        shape: of an example; its numbers in order are the vector.
        masker: which entries are hidden.
        fill: what they become, "noise" or "zero", or "gate", by which all are seen in part.
        on: targets that count in the loss, "masked" or "all".
        best: least possible loss, None where nobody knows it.
    """

    model: Any
    shape: tuple[int, ...]
    masker: Masker
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

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters."""
        return self.model.init(key, jnp.zeros((1, self.length)))["params"]

    def _known(self, batch: Batch) -> Bool[Array, "B L"] | None:
        """Where there is a number; None where there is one in every place."""
        is_known = batch.get("is_known")
        return None if is_known is None else jnp.asarray(is_known).reshape(-1, self.length)

    def _vectors(self, batch: Batch) -> Float[Array, "B L"]:
        return jnp.asarray(batch["inputs"]).reshape(-1, self.length)

    def _hide(
        self, x: Float[Array, "B L"], batch: Batch, context: Context
    ) -> tuple[Float[Array, "B L"], Bool[Array, "B L"]]:
        """What the model sees, and where that is not the input."""
        is_known = self._known(batch)
        is_missing = None if is_known is None else ~is_known
        is_masked = self.masker.draw(context, batch, is_missing=is_missing)[0].is_masked
        gate = batch_gate(batch, self.shape, (1,) * (len(self.shape) - 1))
        if gate is not None:
            gate = gate.reshape(x.shape)
        seen = corrupt(
            self.fill, x, is_masked, context, self.masker, gate=gate, is_missing=is_missing
        )
        return seen, is_masked

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hide, predict, and sum the squared error over targets.

        Where "is_known" [B, *shape] of the batch is False there is no number: the model sees what
        "inputs" holds there, and the loss leaves it out.

        The metrics beside it are on the same scale: "constant_loss" of always answering 0, which
        is the mean, and, where the distribution is known, "best_loss", what no prediction can
        undercut.
        """
        x = self._vectors(batch)
        _, is_masked, prediction = self._forward(params, batch, context)
        is_counted = jnp.ones_like(is_masked) if self.on == "all" else is_masked
        is_counted &= (jnp.arange(self.length) < self.model.width_out)[None]
        if "is_valid" in batch:
            is_counted &= jnp.asarray(batch["is_valid"])[:, None]
        is_known = self._known(batch)
        if is_known is not None:
            is_counted &= is_known
        weights, errors = is_counted.astype(x.dtype), (prediction - x) ** 2
        weight = weights.sum()
        metrics: dict[str, Metric] = {"constant_loss": Mean((weights * x**2).sum(), weight)}
        if self.best is not None:
            metrics["best_loss"] = Mean(self.best * weight, weight)
        statistics = self.masker.statistics(errors, is_masked, is_counted, batch)
        return Sums((weights * errors).sum(), weight, metrics, statistics)

    def _forward(
        self, params: Params, batch: Batch, context: Context
    ) -> tuple[Float[Array, "B L"], Bool[Array, "B L"], Float[Array, "B L"]]:
        """What the model sees, where that is not the input, and what it makes of it."""
        seen, is_masked = self._hide(self._vectors(batch), batch, context)
        return seen, is_masked, self._predict(params, seen)

    @functools.cached_property
    def _compiled_forward(self) -> Callable[..., Any]:
        return jax.jit(self._forward)

    def _predict(self, params: Params, seen: Float[Array, "B L"]) -> Float[Array, "B L"]:
        """The targets' predictions; the entries after them are left as they are seen."""
        found = self.model.apply({"params": params}, seen)
        return jnp.concatenate([found, seen[:, self.model.width_out :]], 1)

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
        seen, is_masked, prediction = self._compiled_forward(params, batch, context)
        original = np.where(batch.get("is_known", True), batch["inputs"], np.float32("nan"))
        parts = (original, seen, prediction, jnp.where(is_masked, prediction, x), is_masked)
        shaped = [part.reshape(-1, *self.shape) for part in parts]
        absent = jnp.zeros_like(shaped[-1])  # something stands in every place
        only_hidden = self.on == "masked"
        return {"reconstructions": ArrayPanel(*shaped, absent, dim_visible=only_hidden)}  # pyright: ignore


def build(config: Any, data: Any) -> MaskedVectors:
    """Make the task that a config describes.

    Args:
        config: the whole config; "data.source", "mask", "model", "loss", "seed" and "total_steps"
            are read.
        data: has `shape`, the sizes of one example, and where it is known `num_train`.

    Returns:
        The task.

    Raises:
        ValueError: a rule, fill, count or width that does not fit.
    """
    length, hidden = math.prod(data.shape), tuple(config.model.hidden)
    targets = config.model.num_targets or length
    check_choice("mask.fill", config.mask.fill, FILLS)
    check_gate(config)
    check_choice("loss.on", config.loss.on, ("masked", "all"))
    check_counted(config)
    if not 0 < targets <= length:
        raise ValueError(f"model.num_targets {targets} must be at most {length}, or 0 for all")
    if any(width < 1 for width in hidden):
        raise ValueError(f"model.hidden {hidden} must hold widths of at least 1")
    masker = make_masker(config, (length,), data, modality="image")
    check_some_visible(config.mask, masker.schedule, length)
    return MaskedVectors(
        model=Mlp(hidden, targets),
        shape=tuple(data.shape),
        masker=masker,
        fill=config.mask.fill,
        on=config.loss.on,
        best=None if getattr(data, "has_gate", False) else _best(config, masker, targets),
    )


def _best(config: Any, masker: Masker, targets: int) -> float | None:
    """The least possible loss on Gaussian vectors of a known covariance, hidden at random."""
    rho, length = correlation(config.data.source), masker.length
    num_masked = masker.schedule.min_num_masked(length)
    is_plain = config.mask.rule in ("random", NONE) and masker.num_candidates == 1
    is_constant = num_masked == masker.schedule.max_num_masked(length)
    is_small = math.comb(length, num_masked) <= _MOST_SUBSETS
    if rho is None or not (is_plain and is_constant and is_small):
        return None
    return least_error(covariance(length, rho), num_masked, num_targets=targets, on=config.loss.on)
