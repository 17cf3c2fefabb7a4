"""What a task is: init and loss, and what else the loop asks of it.

The loop calls `init` once, then `loss` in every step, and adds the `Sums` of rows, micro-batches
and devices before it divides (maskjax/training/step.py). `start` and `remember` carry what a task
learns about its examples from step to step; probes and prediction read `outputs`; `show` makes the
panels of the pictures. A module with a task in it has `build(config, data) -> Task`.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import struct

from maskjax.evaluation.metrics import Metric
from maskjax.evaluation.panels import Panel
from maskjax.models.architecture import Architecture
from maskjax.typing import Array, Batch, Float, Int, Key, Params, PyTree


@struct.dataclass
class Context:
    """What the trainer knows beside parameters and batch.

    Attributes:
        keys: one key an example, from (seed, step, place in the global batch).
        step: training steps done, int32 scalar.
        document_keys: one key an example, from (seed, id of the example) alone: what is drawn by
            them is the same whenever the example comes; fold an epoch in to have several. None
            where the batch has no ids.
        memory: the task's own, from `start` and `remember`.
        average: moving average of the parameters, None where none is kept.
        train: whether this is training: what is random to regularise is on; static.
        index: place of each example in the global batch of a training step; None elsewhere.
    """

    keys: Key[Array, "B"]
    step: Int[Array, ""] | int = 0
    document_keys: Key[Array, "B"] | None = None
    memory: PyTree = ()
    average: Params | None = None
    train: bool = struct.field(pytree_node=False, default=True)
    index: Int[Array, "B"] | None = None


class Sums(NamedTuple):
    """What a batch adds up to; every leaf is a sum over its rows.

    Attributes:
        loss: sum of weight times loss.
        weight: sum of the weights.
        metrics: sums that the host divides, by name.
        statistics: what `remember` needs; () without a memory.
    """

    loss: Float[Array, ""]
    weight: Float[Array, ""]
    metrics: dict[str, Metric] = {}  # noqa: RUF012 - a NamedTuple's default, never changed
    statistics: PyTree = ()


# (params, batch, context) -> one row an example; or a dict of such, arrays of the inputs' shape.
Output = Callable[[Params, Batch, Context], Any]


class Task(abc.ABC):
    """What is predicted from what.

    A task that cannot be written as sums over rows does not fit: use a formulation that can (group
    norm for batch norm, contrast within a row).

    Attributes:
        needs: entries of a batch that the task reads.
        loss_label: what the loss is, and its unit, for the axis of a figure; "" where there is
            none.
        positions_per_example: patches, tokens, items or entries of an example, at most; None where
            that has no meaning.
        flops_per_example: matrix-product FLOPs of a training step, forward and backward; None where
            nobody counted.
        group_size: so many neighbouring rows of the global batch, from a multiple of it on, are
            always in one call of `loss`, however a batch is split over devices and micro-batches.
        begins_anew: regular expressions on paths of the parameters: what another run, that this one
            starts from, may lack, such as a new head.
        leaves_out: the same on the other's paths: what has no place here, such as its decoder.
        architecture: of the vision transformer that it trains, None for other models: published
            weights are compared with it, and exports say it.
        once: an output that frozen parameters alone decide, "" for none. It is computed once a run
            of every training example, for `begin`; and where these are not changed at random it
            stands in training batches, under its name, in place of the arrays that it is made of.
        class_names: of what it tells apart, for tables; () where the data know, or nobody.
    """

    needs: tuple[str, ...] = ("inputs",)
    loss_label: str = "loss"
    positions_per_example: int | None = None
    flops_per_example: float | None = None
    group_size: int = 1
    begins_anew: tuple[str, ...] = ()
    leaves_out: tuple[str, ...] = ()
    architecture: Architecture | None = None
    once: str = ""
    class_names: tuple[str, ...] = ()

    @abc.abstractmethod
    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""

    @abc.abstractmethod
    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Hide, predict, and sum the error over the rows of a batch.

        Args:
            params: the parameters.
            batch: what `needs` names, "id" [B] int32, and "is_valid" [B]: rows where that is False
                fill a batch and weigh nothing. Without "is_valid" all rows are examples.
            context: see there.
        """

    def begin(self, params: Params, rows: Float[np.ndarray, "N ..."]) -> Params:
        """Make the parameters that a run of `once` begins with.

        Args:
            params: drawn, or another run's.
            rows: what `once` names, of the training examples.
        """
        del rows
        return params

    def start(self) -> PyTree:
        """Make the memory of step 0; () for none."""
        return ()

    def remember(self, memory: PyTree, statistics: PyTree, step: Int[Array, ""]) -> PyTree:
        """Make the next memory, once a step, of statistics that are summed over all devices."""
        del statistics, step
        return memory

    def outputs(self) -> Mapping[str, Output]:
        """Name what can be had of whole examples: "features", "logits" ..."""
        return {}

    def chosen(self, numbers: Mapping[str, Any]) -> "Task":
        """Settle on the best of what was learned side by side.

        Args:
            numbers: what validation found, by name; nothing where it did not judge yet.

        Returns:
            The task that judges test, shows and predicts, the same for the same choice; this one
            where there is nothing to choose.
        """
        del numbers
        return self

    def without_adapters(self, params: Params) -> tuple["Task", Params]:
        """Return a task and parameters that make the same of examples, with no more than it takes.

        Args:
            params: the parameters.
        """
        return self, params

    def artefact(self, params: Params) -> Mapping[str, np.ndarray]:
        """Say what has to be kept beside the weights that a run began with.

        Args:
            params: the parameters, on the host.

        Returns:
            Arrays by name, for a file in the run's folder; {} for a task that is kept whole.
        """
        del params
        return {}

    def baselines(self, data: Any, split: str) -> Mapping[str, float]:
        """Judge what learns nothing, or the best that there is, on a whole split, on the host.

        Args:
            data: has `source(split)`.
            split: which to judge.

        Returns:
            Numbers that stand beside those of the model, once a run.
        """
        del data, split
        return {}

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, Panel]:
        """Make panels of a few examples, by name, which evaluation/figures draws.

        It is called on the host and may compile what it computes; rows of the batch that only fill
        it are left out later. The first panel is what prediction shows.
        """
        del params, batch, context
        return {}
