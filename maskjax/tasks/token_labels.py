"""Which tag each word of a text has: entities by BIO tags (Devlin et al. 2019, section 5.3)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.evaluation.entities import Tags, entities
from maskjax.evaluation.metrics import Mean, Metric
from maskjax.evaluation.panels import UNKNOWN, TagPanel
from maskjax.tasks.class_losses import (
    BALANCED,
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
class TokenLabels(Supervised):
    """Cross-entropy over tags, at the first token of each word; all words weigh alike.

    Batches have "token_labels" [B, L]: the number of a tag, -1 where no word begins, and the number
    of tags where nobody knows.

    Attributes:
        tag_names: T tags in the order of their numbers.
        smoothing: share of a target that is spread over all tags, in training.
        class_weights: what a tag weighs in training; () = all the same.
    """

    tag_names: tuple[str, ...]
    smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    loss_label: str = "cross-entropy of tags, nats"

    @property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The tags."""
        return self.tag_names

    def targets(self, batch: Batch) -> Float[Array, "B L T"]:
        """One-hot tags; zeros where none is asked for."""
        return jax.nn.one_hot(jnp.asarray(batch["token_labels"]), len(self.tag_names))

    def errors(
        self, outputs: Float[Array, "B L T"], targets: Float[Array, "B L T"], is_train: bool
    ) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """The weighted mean over a text's words, and what they weigh."""
        options = (self.smoothing, self.class_weights) if is_train else (0.0, ())
        is_asked = targets.sum(-1) > 0
        whole = jnp.where(is_asked[..., None], targets, 1.0)
        losses, weights = cross_entropy(outputs, whole, *options)
        weights = jnp.where(is_asked, weights, 0.0)
        total = weights.sum(1)
        return (losses * weights).sum(1) / jnp.where(total == 0, 1.0, total), total

    def metrics(
        self,
        outputs: Float[Array, "B L T"],
        targets: Float[Array, "B L T"],
        batch: Batch,
        weights: Float[Array, "B"],
        is_train: bool,
    ) -> dict[str, Metric]:
        """The share of words that have the right tag, and in evaluation what entities were found.

        "f1" is that of entities, as all of `entities.Entities`.
        """
        is_asked = (targets.sum(-1) > 0) & (weights > 0)[:, None]
        true, said = targets.argmax(-1), outputs.argmax(-1)
        count = lambda x: jnp.where(is_asked, x, 0.0).sum(dtype=jnp.float32)  # noqa: E731
        right, total = count((true == said).astype(jnp.float32)), count(1.0)
        if is_train:
            return {"batch_accuracy": Mean(right, total)}
        found = entities(Tags.of(self.tag_names), true, said, is_asked)
        return {"accuracy": Mean(right, total), "": found}

    def outputs(self) -> Mapping[str, Output]:
        """Name "features" [B, L, D], "logits" [B, L, T], and "labels", the chance of each tag."""
        found = super().outputs()

        def labels(params: Params, batch: Batch, context: Context) -> Array:
            return jax.nn.softmax(found["logits"](params, batch, context))

        return {**found, "labels": labels}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, TagPanel]:
        """Words with their tags and those that the model gives them."""
        chances = self._chances(params, dict(batch), context)
        return {"labelled": labelled(batch, chances, self.tag_names)}

    @functools.cached_property
    def _chances(self) -> Callable[..., Array]:
        return jax.jit(self.outputs()["labels"])


def labelled(
    batch: Batch, chances: Float[np.ndarray | Array, "B L T"], names: Sequence[str]
) -> TagPanel:
    """Show words with their tags, and those that they are given.

    Args:
        batch: "tokens", "is_special" and "token_labels".
        chances: of each tag at each token.
        names: of the tags.
    """
    true, chances = np.asarray(batch["token_labels"]), np.asarray(chances)
    return TagPanel(
        seen=np.asarray(batch["tokens"]),
        is_valid=~np.asarray(batch["is_special"]) | (true >= 0),  # words that are [UNK], too
        true=np.where(true < len(names), true, UNKNOWN),
        predicted=np.where(true >= 0, chances.argmax(-1), UNKNOWN),
        probabilities=chances.max(-1),
        tags=names,
    )


def build(config: Any, data: Any) -> TokenLabels:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model", "loss", "mask" and "total_steps" are read.
        data: its processor has `tag_names`, beside what `text_body` reads; `source`, where it is
            opened.

    Returns:
        The task.

    Raises:
        ValueError: an option that does not fit, or words without tags; the message says what to do.
    """
    names = tuple(getattr(data.processor, "tag_names", ()))
    if len(names) < 2:
        raise ValueError(
            f"task 'token_labels' on data with {'one tag' if names else 'no tags'} (data.source "
            f"{config.data.source!r}): use conll:FILE, or names, with two tags or more"
        )
    is_balanced = tuple(config.loss.class_weights) == (BALANCED,)
    labels = _train_labels(data) if is_balanced else None
    check_examples(len(names), labels, names)
    task = TokenLabels(
        **supervised_parts(config, data, len(names), is_each=True),
        tag_names=names,
        smoothing=read_smoothing(config.loss),
        class_weights=read_class_weights(
            config.loss.class_weights, len(names), labels, is_opened=hasattr(data, "source")
        ),
    )
    shape = (GROUP, task.masker.length)
    try_out(task, {"token_labels": jnp.zeros(shape, jnp.int32)})
    return task


def _train_labels(data: Any) -> np.ndarray | None:
    """All tags of the training texts, None of a run that is only looked at."""
    source = data.source("train") if hasattr(data, "source") else None
    if source is None:
        return None
    tags = [np.asarray(source[i]["tags"]) for i in range(len(source))]
    return np.concatenate([each[each >= 0] for each in tags])
