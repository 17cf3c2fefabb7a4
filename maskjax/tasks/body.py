"""What classifies, or predicts numbers: an encoder with a head, and how examples reach it."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from maskjax.evaluation.panels import Panel
from maskjax.tasks.masker import Masker
from maskjax.tasks.options import check_choice
from maskjax.tasks.task import Context
from maskjax.typing import Array, Batch, Bool, Float, Int, Key, Params

TRAINING, ALWAYS = "training", "always"


class Seen(NamedTuple):
    """What a model made of examples.

    Attributes:
        features: what the head reads, of an example, or of each of its positions.
        outputs: the head's.
        is_masked: True = hidden.
        is_counted: False for what is never hidden, such as padding; None = all count.
        ids: of the vocabulary; None where positions have none.
    """

    features: Float[Array, "B *L D"]
    outputs: Float[Array, "B *L N"]
    is_masked: Bool[Array, "B L"]
    is_counted: Bool[Array, "B L"] | None = None
    ids: Int[Array, "B L"] | None = None


class Body(abc.ABC):
    """An encoder with a head, of whatever kind; its parameters are "encoder/..." and "head/...".

    Attributes:
        model: the module, where there is one.
        masker: what is hidden of an example.
        when: `TRAINING` or `ALWAYS`: whether evaluations hide too.
        flops_per_example: matrix-product FLOPs of a training step, forward and backward.
        needs: entries of a batch that are read.
        can_mix: whether examples are numbers, "inputs", of which a weighted sum makes sense.
        begins_anew: see `Task`.
        leaves_out: see `Task`.
        architecture: see `Task`.
    """

    model: Any
    masker: Masker
    when: str
    flops_per_example: float
    needs: tuple[str, ...] = ("inputs",)
    can_mix: bool = True
    begins_anew: tuple[str, ...] = ("^head/",)
    leaves_out: tuple[str, ...] = ("^decoder/", "^predict/")
    architecture: Any = None

    @abc.abstractmethod
    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""

    @abc.abstractmethod
    def __call__(self, params: Params, batch: Batch, context: Context) -> Seen:
        """Hide what is to be hidden, and predict."""

    @abc.abstractmethod
    def example(self, count: int) -> Batch:
        """Make so many examples of nothing."""

    @abc.abstractmethod
    def panel(self, batch: Batch, labels: Any, chances: Array, names: Sequence[str]) -> Panel:
        """Show examples with their classes, and the chances that the head gives to each.

        Args:
            batch: the examples.
            labels: their classes, or flags of several.
            chances: [B, C].
            names: of the classes; () where they have none.
        """

    def baselines(self, data: Any, split: str) -> Mapping[str, float]:
        """Judge what learns less of the same examples; see `Task`."""
        del data, split
        return {}

    def is_hiding(self, context: Context) -> bool:
        """Whether a rule hides something of examples."""
        is_now = context.train or self.when == ALWAYS
        return is_now and self.masker.schedule.max_ratio > 0


def check_hiding(mask: Any, fills: tuple[str, ...]) -> None:
    """Refuse a fill or a time of `config.mask` that a body does not know."""
    check_choice("mask.fill", mask.fill, fills)
    check_choice("mask.when", mask.when, (TRAINING, ALWAYS))
