"""What frozen features are worth to a head that learns on them: linear and attentive probes."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from maskjax.evaluation.classification import classification
from maskjax.evaluation.heads import Heads, most_accurate
from maskjax.evaluation.metrics import Mean, Metric
from maskjax.evaluation.panels import UNKNOWN, ClassPanel
from maskjax.masking.parameters import leaf_paths
from maskjax.models.attentive import AttentiveHead
from maskjax.models.head import pooled
from maskjax.models.layers import Dense
from maskjax.models.mae import Encoder
from maskjax.tasks.frozen import Frozen, check_labelled, encoder_parts
from maskjax.tasks.options import check_choice
from maskjax.tasks.task import Context, Output, Sums
from maskjax.typing import Array, Batch, Float, Key, Params

KINDS = ("linear", "attentive")
EPSILON = 1e-6  # added to the variances of features (He et al. 2022, appendix A.1)
HEAD_INIT = nn.initializers.truncated_normal(0.01)
_FROZEN = "^(encoder|norm)/"
_MOST_BYTES = 16 * 2**30  # of what is kept of all training examples


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe(Frozen):
    """Heads on a frozen encoder (He et al. 2022, appendix A.1, linear probing).

    The reference puts batch norm without affine parameters before a linear head. Of frozen features
    its statistics are those of the training examples: they are taken once, before the first step,
    and are the parameters "norm/mean" and "norm/variance", which nothing trains.

    Several heads begin alike and learn side by side, each at its own rate (`optimizer.rates`); each
    one's gradient is that of its own loss, and the loss is the sum over them. Validation judges
    them all, and the most accurate one there is the one that test judges and predictions are of.

    Attributes:
        head: from features, or tokens, to one number a class.
        kind: "linear", on features, or "attentive", on tokens.
        names: of the heads, whose parameters are "head/NAME/..."; () is one, "head/...".
        judged: the one that was chosen of several; "" where none was yet, or there is one.
        num_classes: C.
        class_names: for pictures; () where they have none.
    """

    head: Any
    kind: str
    names: tuple[str, ...]
    num_classes: int
    class_names: tuple[str, ...]
    once: str
    judged: str = ""
    begins_anew = ("^(norm|head)/",)
    _chosen: dict[str, "Probe"] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def loss_label(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The loss and its unit."""
        several = f", summed over {len(self.names)} heads" if self.names and not self.judged else ""
        return f"cross-entropy, nats{several}"

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw an untrained encoder, and heads that are all alike."""
        params = dict(super().init(key))
        patches = jax.ShapeDtypeStruct((1, *self.shape), jnp.float32)
        read = jax.eval_shape(self._encoded, params, {"inputs": patches})
        head = self.head.init(jax.random.fold_in(key, 1), jnp.zeros(read.shape))["params"]
        if self.kind == "linear":
            params["norm"] = {"mean": jnp.zeros(self.width), "variance": jnp.ones(self.width)}
        params["head"] = {name: jax.tree.map(jnp.copy, head) for name in self.names} or head
        return params

    def begin(self, params: Params, rows: Float[np.ndarray, "N ..."]) -> Params:
        """Take the statistics of features."""
        if self.kind != "linear":
            return params
        rows = rows.astype(np.float64)
        norm = {"mean": rows.mean(0), "variance": rows.var(0)}
        return {**params, "norm": {name: x.astype(np.float32) for name, x in norm.items()}}

    def _encoded(self, params: Params, batch: Batch) -> Float[Array, "B *tokens D"]:
        """What heads read."""
        tokens = self.tokens(params, batch)
        return tokens if self.kind == "attentive" else pooled(tokens, self.pool)

    def _logits(self, params: Params, batch: Batch) -> dict[str, Float[Array, "B C"]]:
        """Of each head."""
        x = jnp.asarray(batch[self.once]) if self.once in batch else self._encoded(params, batch)
        if self.kind == "linear":
            norm = params["norm"]
            x = (x - norm["mean"][None]) / jnp.sqrt(norm["variance"][None] + EPSILON)
        names = (self.judged,) if self.judged else self.names
        heads = {name: params["head"][name] for name in names} or {"": params["head"]}
        return {name: self.head.apply({"params": head}, x) for name, head in heads.items()}

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Sum the cross-entropy over examples and heads.

        Args:
            params: the parameters.
            batch: "inputs" [B, *shape] normalised, or what `once` names; "label" [B], "is_valid".
            context: nothing is drawn.
        """
        labels = jnp.asarray(batch["label"])
        ones = jnp.asarray(batch.get("is_valid", jnp.ones(len(labels), bool))).astype(jnp.float32)
        losses, found = [], self._logits(params, batch)
        metrics: dict[str, Metric] = {}
        for name, logits in found.items():
            chances = jax.nn.log_softmax(logits)
            own = jnp.take_along_axis(chances, labels[:, None], axis=1)[:, 0]
            losses.append(jnp.where(ones > 0, -own, 0.0).sum())
            if context.train:
                is_right = jnp.where(logits.argmax(1) == labels, ones, 0.0)
                key = f"batch_accuracy_{name}" if name else "batch_accuracy"
                metrics[key] = Mean(is_right.sum(), ones.sum())
        if not context.train:
            each = {name: classification(x, labels, ones) for name, x in found.items()}
            metrics |= {"": Heads(each)} if self.names else each[""]
        return Sums(sum(losses, start=jnp.float32(0)), ones.sum(), metrics)

    def chosen(self, numbers: Mapping[str, Any]) -> "Probe":
        """Settle on the head that is most accurate on validation; the first where none is known."""
        if self.judged or not self.names:
            return self
        name = most_accurate(self.names, numbers) or self.names[0]
        if name not in self._chosen:
            self._chosen[name] = dataclasses.replace(self, judged=name)
        return self._chosen[name]

    def outputs(self) -> Mapping[str, Output]:
        """Name "features" [B, D], and of the chosen head "logits" and "classes", chances [B, C].

        And of an attentive probe "tokens", which its head reads.
        """
        name = self.judged or (self.names[0] if self.names else "")

        def logits(params: Params, batch: Batch, context: Context) -> Array:
            del context
            return self._logits(params, batch)[name]

        def classes(params: Params, batch: Batch, context: Context) -> Array:
            return jax.nn.softmax(logits(params, batch, context))

        def tokens(params: Params, batch: Batch, context: Context) -> Array:
            del context
            return self.tokens(params, batch)

        found = {**super().outputs(), "logits": logits, "classes": classes}
        return found if self.kind == "linear" else {**found, "tokens": tokens}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, ClassPanel]:
        """Examples with their classes and those that the chosen head names."""
        chances = jax.jit(self.outputs()["classes"])(params, batch, context)
        labels = np.asarray(batch.get("label", np.full(len(chances), UNKNOWN)))
        inputs = np.asarray(batch["inputs"])
        return {"classified": ClassPanel(inputs, labels, chances, self.class_names)}


def build(config: Any, data: Any) -> Probe:
    """Make the task that a config describes.

    Args:
        config: the whole config; "model", "mask", "init_from.path" and "optimizer.frozen" are read.
        data: has `shape`, `num_classes` and, where it is known, `class_names` and `num_train`.

    Returns:
        The task.

    Raises:
        ValueError: an option that does not fit, labels that are missing, or an encoder that would
            be trained.
    """
    model, count = config.model, check_labelled(config, data)
    check_choice("model.probe", model.probe, KINDS)
    names = tuple(model.probe_heads)
    if len(set(names)) < len(names) or any(not re.fullmatch(r"[\w.-]+", name) for name in names):
        raise ValueError(
            f"model.probe_heads {names} must be different names of letters, digits, '.' and '-', "
            "as ('x1', 'x10'); () is one head"
        )
    parts = encoder_parts(config, tuple(data.shape))
    kind, encoder = model.probe, parts["encoder"]
    head = Dense(count, kernel_init=HEAD_INIT)
    if kind == "attentive":
        head = AttentiveHead(count, encoder.transformer.num_heads, HEAD_INIT)
    task = Probe(
        **parts,
        head=head,
        kind=kind,
        names=names,
        num_classes=count,
        class_names=tuple(getattr(data, "class_names", None) or ()),
        once=_kept(kind, encoder, model.feature_blocks, getattr(data, "num_train", 0)),
    )
    params = jax.eval_shape(task.init, jax.random.key(0))
    rules, paths = tuple(config.optimizer.frozen), leaf_paths(params)
    held = [path for path in paths if re.search(_FROZEN, path)]
    if not all(any(re.search(rule, path) for rule in rules) for path in held):
        raise ValueError(
            f"optimizer.frozen {rules} lets a probe train what it reads: set it to "
            f"('{_FROZEN}',); configs/finetune.py trains the encoder too"
        )
    batch = {"inputs": jnp.zeros((1, *task.shape))}
    jax.eval_shape(task._logits, params, batch)  # what does not fit together shows here
    return task


def _kept(kind: str, encoder: Encoder, blocks: int, num_train: int) -> str:
    """What is computed once of the training examples: features, or tokens if memory holds them."""
    if kind == "linear":
        return "features"
    size = 4 * num_train * (1 + int(np.prod(encoder.grid))) * encoder.width * blocks
    if size <= _MOST_BYTES:
        return "tokens"
    logging.warning("Tokens of all examples take %.0f GB: each step computes its own.", size / 1e9)
    return ""
