"""What classification and regression share: a body with a head, mixing, a target an example."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.evaluation.metrics import Mean, Metric
from maskjax.models.lora import LORA, Adapters, merged, with_adapters
from maskjax.tasks import conv_body
from maskjax.tasks.body import Body, Seen
from maskjax.tasks.masker import MaskedTask, Masker
from maskjax.tasks.mixing import GROUP, Mixing, make_mixing
from maskjax.tasks.patch_body import patch_body
from maskjax.tasks.task import Context, Output, Sums
from maskjax.tasks.text_body import text_body
from maskjax.typing import Array, Batch, Float, Key, Params

_FOLD_LORA = 1  # keeps adapters' draws apart from the model's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised(MaskedTask):
    """Predict a target of whole examples.

    In training examples are mixed and drop path is on; in evaluation nothing is drawn. Positions of
    the input may be hidden, by any rule, in training alone or in evaluation too.

    Attributes:
        body: encoder and head, of whatever kind of examples.
        mixing: how examples are mixed; what is hidden is hidden after that.
        lora: low-rank adapters of the body's kernels; None without.
    """

    body: Body
    mixing: Mixing
    lora: Adapters | None = None

    @property
    def model(self) -> Any:
        """The module of the body."""
        return self.body.model

    @property
    def masker(self) -> Masker:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What is hidden."""
        return self.body.masker

    @property
    def needs(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Entries of a batch that the body reads."""
        return self.body.needs

    @property
    def flops_per_example(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Matrix-product FLOPs of a training step, forward and backward."""
        return self.body.flops_per_example

    @property
    def group_size(self) -> int:
        """Rows that are mixed with each other."""
        return GROUP if self.mixing.is_on else 1

    @property
    def architecture(self) -> Any:
        """Of the body's encoder."""
        return self.body.architecture

    @property
    def begins_anew(self) -> tuple[str, ...]:
        """What pretraining may lack: what the body says, and adapters."""
        return (*self.body.begins_anew, *((f"^{LORA}/",) if self.lora else ()))

    @property
    def leaves_out(self) -> tuple[str, ...]:
        """What of pretraining has no place here."""
        return self.body.leaves_out

    @abc.abstractmethod
    def targets(self, batch: Batch) -> Float[Array, "B *T"]:
        """The targets of a batch, in the units of `errors`; linear, so that they can be mixed."""

    @abc.abstractmethod
    def errors(
        self, outputs: Float[Array, "B *N"], targets: Float[Array, "B *T"], is_train: bool
    ) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """The loss of each example, and what it weighs."""

    @abc.abstractmethod
    def metrics(
        self,
        outputs: Float[Array, "B *N"],
        targets: Float[Array, "B *T"],
        batch: Batch,
        weights: Float[Array, "B"],
        is_train: bool,
    ) -> dict[str, Metric]:
        """What stands beside the loss; `weights` is 0 for what only fills the batch."""

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""
        params = self.body.init(key)
        if self.lora is None:
            return params
        return with_adapters(jax.random.fold_in(key, _FOLD_LORA), params, self.lora)

    def without_adapters(self, params: Params) -> tuple["Supervised", Params]:
        """The same with adapters merged into the kernels."""
        if self.lora is None:
            return self, params
        return dataclasses.replace(self, lora=None), merged(params, self.lora.scale)

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Predict, and sum the error over the examples.

        Args:
            params: the parameters.
            batch: what the body reads ("inputs" [B, *shape], normalised, and optionally "gate", or
                the tokens of texts), the targets, optionally "is_valid" [B].
            context: its keys mix, hide and drop in training.
        """
        targets = self.targets(batch)
        is_valid = jnp.asarray(batch.get("is_valid", jnp.ones(len(targets), bool)))
        if context.train and self.mixing.is_on:
            inputs = jnp.asarray(batch["inputs"])
            inputs, targets = self.mixing(inputs, targets, context.keys, is_valid)
            batch = {**batch, "inputs": inputs}
        seen = self._seen(params, batch, context)
        losses, weights = self.errors(seen.outputs, targets, context.train)
        losses, weights = (jnp.where(is_valid, x, 0.0) for x in (losses, weights))
        ones = is_valid.astype(jnp.float32)
        metrics = self.metrics(seen.outputs, targets, batch, ones, context.train)
        is_counted = jnp.broadcast_to(is_valid[:, None], seen.is_masked.shape)
        if seen.is_counted is not None:
            is_counted = is_counted & seen.is_counted
        if self.body.is_hiding(context):
            hidden = jnp.where(is_counted, seen.is_masked, False).sum(dtype=jnp.float32)
            metrics["mask_ratio"] = Mean(hidden, is_counted.sum(dtype=jnp.float32))
        # What an example loses is laid to all that was hidden of it.
        spread = jnp.broadcast_to(losses[:, None], seen.is_masked.shape)
        found = self.masker.statistics(spread, seen.is_masked, is_counted, batch, seen.ids)
        return Sums((losses * weights).sum(), weights.sum(), metrics, found)

    def _seen(self, params: Params, batch: Batch, context: Context) -> Seen:
        own = params if self.lora is None else merged(params, self.lora.scale)
        return self.body(own, batch, context)

    def baselines(self, data: Any, split: str) -> Mapping[str, float]:
        """Judge what learns less of the same examples."""
        return self.body.baselines(data, split)

    def outputs(self) -> Mapping[str, Output]:
        """Name "features", what the head reads [B, D], and "logits", its outputs [B, N]."""

        def features(params: Params, batch: Batch, context: Context) -> Array:
            return self._seen(params, batch, context).features

        def logits(params: Params, batch: Batch, context: Context) -> Array:
            return self._seen(params, batch, context).outputs

        return {"features": features, "logits": logits}


def supervised_parts(
    config: Any, data: Any, num_outputs: int, *, is_each: bool = False
) -> dict[str, Any]:
    """Make what every `Supervised` has.

    Args:
        config: the whole config; "data.missing", "model", "mask", "mix", "seed" and "total_steps"
            are read.
        data: what the body reads of it.
        num_outputs: of the head.
        is_each: whether it reads each token of a text, and not the text as a whole.

    Returns:
        The attributes of `Supervised`, by name.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    body, mixing = _body(config, data, num_outputs, is_each), make_mixing(config.get("mix"))
    if mixing.is_on and not body.can_mix:
        raise ValueError(
            f"mix.mixup {mixing.mixup} and mix.cutmix {mixing.cutmix} mix numbers, and these "
            "examples are none: set both to 0"
        )
    return {"body": body, "mixing": mixing, "lora": _adapters(config.model)}


def _body(config: Any, data: Any, num_outputs: int, is_each: bool) -> Body:
    """The body of a config: of texts, the one that it names, or a vision transformer."""
    if getattr(getattr(data, "processor", None), "tokenizer", None) is not None:
        return text_body(config, data, num_outputs, is_each=is_each)
    if config.model.get("name") in conv_body.MODELS:
        return conv_body.conv_body(config, data, num_outputs)
    return patch_body(config, data, num_outputs)


def _adapters(model: Any) -> Adapters | None:
    """Read `model.lora_*`."""
    if model.lora_rank < 0 or not 0 < model.lora_alpha < math.inf:
        raise ValueError(
            f"model.lora_rank {model.lora_rank} must be at least 0, which is none, and "
            f"model.lora_alpha {model.lora_alpha} above 0 and finite"
        )
    if not model.lora_rank:
        return None
    return Adapters(model.lora_rank, float(model.lora_alpha), tuple(model.lora_on))


def try_out(task: Supervised, targets: Batch) -> None:
    """One group of examples through the whole task, so that what does not fit shows at once.

    Args:
        task: what is tried.
        targets: of `GROUP` examples, as batches have them.
    """

    def around() -> Array:
        batch = {**task.body.example(GROUP), **targets}
        params = task.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(0), GROUP)
        return task.loss(params, batch, Context(keys, jnp.int32(0), memory=task.start())).loss

    jax.eval_shape(around)
