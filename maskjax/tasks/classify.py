"""Which class an example is of: fine-tuning of an encoder with a linear head, or from scratch."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.evaluation.classification import classification, multilabel
from maskjax.evaluation.metrics import Mean, Metric
from maskjax.evaluation.panels import UNKNOWN, Panel
from maskjax.tasks.class_losses import (
    check_examples,
    cross_entropy,
    read_class_weights,
    read_smoothing,
)
from maskjax.tasks.mixing import GROUP
from maskjax.tasks.supervised import Supervised, supervised_parts, try_out
from maskjax.tasks.task import Context, Output
from maskjax.typing import Array, Batch, Float, Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classify(Supervised):
    """Cross-entropy over classes, of which an example has one, or any number.

    Where it may have several, each class is asked for by itself, and the loss is the mean over
    them of the binary cross-entropies. In training targets may be smoothed and mixed, and classes
    weighted; in evaluation the loss is the plain one, so that runs can be compared.

    Batches have "label" [B], or "targets" [B, C] of 0 and 1.

    Attributes:
        num_classes: C.
        smoothing: share of a target that is spread over all classes (Szegedy et al. 2016, section
            7); mixing comes after it, as in timm.
        class_weights: what a class weighs in the loss, C of them; () = all the same.
        class_names: for pictures; () where they have none.
        has_several: whether an example may have several classes, or none.
    """

    num_classes: int
    smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()
    has_several: bool = False
    loss_label: str = "cross-entropy, nats"

    def targets(self, batch: Batch) -> Float[Array, "B C"]:
        """One-hot classes, or what the batch says of each."""
        if self.has_several:
            return jnp.asarray(batch["targets"])
        return jax.nn.one_hot(jnp.asarray(batch["label"]), self.num_classes)

    def errors(
        self, outputs: Float[Array, "B C"], targets: Float[Array, "B C"], is_train: bool
    ) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """Weighted cross-entropy, divided by what an example weighs."""
        if self.has_several:
            return self._binary(outputs, targets, is_train)
        if not is_train:
            return -(targets * jax.nn.log_softmax(outputs)).sum(1), jnp.ones(len(outputs))
        return cross_entropy(outputs, targets, self.smoothing, self.class_weights)

    def _binary(
        self, outputs: Float[Array, "B C"], targets: Float[Array, "B C"], is_train: bool
    ) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """The weighted mean over classes; smoothing draws a target towards one half."""
        weights = jnp.ones(self.num_classes)
        if is_train:
            targets = (1 - self.smoothing) * targets + self.smoothing / 2
            weights = jnp.array(self.class_weights or (1.0,) * self.num_classes)
        losses = jnp.logaddexp(0.0, outputs) - targets * outputs
        return (losses * weights[None]).sum(1) / weights.sum(), jnp.ones(len(outputs))

    def metrics(
        self,
        outputs: Float[Array, "B C"],
        targets: Float[Array, "B C"],
        batch: Batch,
        weights: Float[Array, "B"],
        is_train: bool,
    ) -> dict[str, Metric]:
        """In training the batch's accuracy, mixed ones by their larger part; else all there is."""
        if not is_train and self.has_several:
            return multilabel(outputs, jnp.asarray(batch["targets"]), weights)
        if not is_train:
            return classification(outputs, jnp.asarray(batch["label"]), weights)
        if self.has_several:
            return {}
        is_right = outputs.argmax(1) == targets.argmax(1)
        return {"batch_accuracy": Mean(jnp.where(is_right, weights, 0.0).sum(), weights.sum())}

    def outputs(self) -> Mapping[str, Output]:
        """Name "features", "logits", and "classes", the probability of each [B, C]."""
        found = super().outputs()

        def classes(params: Params, batch: Batch, context: Context) -> Array:
            logits = found["logits"](params, batch, context)
            return jax.nn.sigmoid(logits) if self.has_several else jax.nn.softmax(logits)

        return {**found, "classes": classes}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, Panel]:
        """Examples with their classes and those that the model names."""
        chances = self.outputs()["classes"](params, batch, context)
        unknown = np.full(len(chances), UNKNOWN)
        labels = batch.get("targets" if self.has_several else "label", unknown)
        return {"classified": self.body.panel(batch, labels, chances, self.class_names)}


def build(config: Any, data: Any) -> Classify:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model", "loss", "mix", "mask" and "total_steps" are read.
        data: has `shape`, `num_classes`, and where they are known `class_names` and `source`.

    Returns:
        The task.

    Raises:
        ValueError: an option that does not fit, labels that are missing or a class that is empty;
            the message says what to do.
    """
    loss, count = config.loss, getattr(data, "num_classes", None)
    num_targets = getattr(data, "num_targets", 0)
    has_several = count is None and num_targets > 0
    if has_several:
        count = num_targets
    elif count is None or count < 2:
        what = "no labels" if count is None else "one class alone"
        raise ValueError(
            f"task 'classify' on data with {what} (data.source {config.data.source!r}): give "
            "labels of two classes or more"
        )
    labels, names = _train_labels(data), tuple(getattr(data, "class_names", None) or ())
    check_examples(count, labels, names)
    task = Classify(
        **supervised_parts(config, data, count),
        num_classes=count,
        smoothing=read_smoothing(loss),
        class_weights=read_class_weights(
            loss.class_weights, count, labels, is_opened=hasattr(data, "source")
        ),
        class_names=names,
        has_several=has_several,
    )
    targets = {"label": jnp.zeros(GROUP, jnp.int32), "targets": jnp.zeros((GROUP, count))}
    try_out(task, targets)
    return task


def _train_labels(data: Any) -> np.ndarray | None:
    """All labels of the training examples, None where nobody can tell at once."""
    source = data.source("train") if hasattr(data, "source") else None
    return None if source is None else source.labels()
