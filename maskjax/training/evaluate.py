"""What a run's frozen features are worth, beside the same probes on raw inputs."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from maskjax import evaluation
from maskjax.evaluation.metrics import Mean, numbers
from maskjax.tasks.task import Context, Sums, Task
from maskjax.training import parallel
from maskjax.training.state import TrainState
from maskjax.training.step import document_keys, eval_keys
from maskjax.typing import Array, Batch, Int, PyTree

# The raw-input baseline is left out where its training split would not fit in memory beside it.
MAX_BASELINE_BYTES = 4 * 2**30
# Nor where the eigenvectors that the probe needs would take longer than minutes.
MAX_BASELINE_SIDE = 4096


def baseline_bytes(width: int, examples: int) -> int:
    """Estimate the peak memory of the probes of raw inputs.

    Args:
        width: numbers in an input.
        examples: training inputs.

    Returns:
        Bytes for the inputs, three copies of float32 and, where there are fewer examples than
        numbers, two of float64, and for the products whose eigenvectors are taken.
    """
    bytes_a_number = 28 if width > examples else 12
    return bytes_a_number * width * examples + 24 * min(width, examples) ** 2


def largest_class_accuracy(
    train_labels: Int[np.ndarray, "N"], labels: Int[np.ndarray, "M"]
) -> float:
    """Compute the accuracy of always answering the largest class (the smallest label of equals).

    Args:
        train_labels: of the training examples, at least 0; they tell which class is the largest.
        labels: of the examples to judge.

    Returns:
        The accuracy, in [0, 1].

    >>> largest_class_accuracy(np.array([2, 0, 2]), np.array([0, 0, 0, 2]))
    0.25
    """
    return float((labels == np.bincount(train_labels).argmax()).mean())


class Evaluator:
    """Evaluates states of one run; what does not depend on the state is computed once."""

    def __init__(self, task: Task, data: Any, config: Any, spread: parallel.Spread):
        """Prepare; nothing runs yet.

        Args:
            task: what is judged; with probes, it has the output "features".
            data: has `eval_batches(split, batch_size, limit)` and `can_probe`.
            config: the run's; "seed", "total_steps" and "eval" are read.
            spread: the devices.
        """
        self._data, self._config, self._spread = data, config, spread
        devices = spread.num_devices
        self._batch_size = -(-config.eval.batch_size // devices) * devices
        self._pixels: dict[str, float] | None = None

        def context(memory: PyTree, batch: Batch) -> Context:
            keys, step = eval_keys(config.seed, batch["index"]), jnp.int32(config.total_steps)
            documents = document_keys(config.seed, batch["id"]) if "id" in batch else None
            return Context(keys, step, documents, memory, train=False)

        def sums(state: PyTree, batch: Batch) -> Sums:
            params, memory = state
            whole = task.loss(params, batch, context(memory, batch))
            return parallel.psum(whole._replace(statistics=()), spread.axis_name)

        def features(state: PyTree, batch: Batch) -> Array:
            params, memory = state
            return task.outputs()["features"](params, batch, context(memory, batch))

        self._sums = spread.program(sums)
        self._features = spread.program(features, rows_out=True)

    def __call__(
        self, state: TrainState, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """Evaluate the state's parameters, the averaged ones where it has them.

        Args:
            state: what is evaluated.
            before_batch: called before each batch, equally often in every process; what it raises
                ends the evaluation.

        Returns:
            "loss" and the task's metrics over the evaluation split, masked by keys and a step
            (the last) that are the same at every evaluation. With labels also "knn_accuracy" and
            "linear_accuracy" of the features, both with "_pixels" of the normalised inputs where
            that takes no more than MAX_BASELINE_BYTES and MAX_BASELINE_SIDE, and
            "largest_class_accuracy" of always answering the largest class of the training examples.
            Nothing where the data has no evaluation split.
        """
        self._before_batch = before_batch
        judged = (state.eval_params, state.memory)
        report = self._losses(judged)
        if report and self._data.can_probe:
            report |= self._probes(judged) | self._pixel_probes()
        return report

    def _batches(self, split: str) -> Iterator[Batch]:
        limit = self._config.eval.max_train_examples or None if split == "train" else None
        for number, batch in enumerate(self._data.eval_batches(split, self._batch_size, limit)):
            self._before_batch()
            size = len(batch["is_valid"])
            first = number * self._batch_size + jax.process_index() * size
            yield dict(batch, index=np.arange(first, first + size, dtype=np.int32))

    def _losses(self, judged: PyTree) -> dict[str, float]:
        """Loss and metrics over the evaluation split; nothing where there is none."""
        total: Any = None
        for batch in self._batches("eval"):
            part = jax.device_get(self._sums(judged, self._spread.split(batch)))
            part = jax.tree.map(np.float64, part)
            total = part if total is None else jax.tree.map(np.add, total, part)
        if total is None:
            return {}
        metrics = {"loss": Mean(total.loss, total.weight), **total.metrics}
        return numbers(metrics)

    def _collect(self, judged: PyTree | None, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Features (raw inputs where `judged` is None) and labels of a split, padding removed."""
        rows, labels = [], []
        for batch in self._batches(split):
            whole = parallel.gather_rows({key: batch[key] for key in ("label", "is_valid")})
            if judged is None:
                values = parallel.gather_rows(batch["inputs"]).reshape(self._batch_size, -1)
            else:
                values = self._spread.join(self._features(judged, self._spread.split(batch)))
            is_valid = np.asarray(whole["is_valid"])
            rows.append(values[is_valid])
            labels.append(np.asarray(whole["label"])[is_valid])
        return np.concatenate(rows), np.concatenate(labels)

    def _probes(self, judged: PyTree | None) -> dict[str, float]:
        x, labels = self._collect(judged, "train")
        eval_x, eval_labels = self._collect(judged, "eval")
        k = min(self._config.eval.knn_k, len(x))
        try:
            scores = {
                "knn_accuracy": evaluation.knn_accuracy(x, labels, eval_x, eval_labels, k=k),
                "linear_accuracy": evaluation.linear_accuracy(x, labels, eval_x, eval_labels),
            }
        except evaluation.TooFewLabelsError as error:  # no reason to lose a trained model
            logging.warning("No probes: %s", error)
            return {}
        if judged is not None:
            scores["largest_class_accuracy"] = largest_class_accuracy(labels, eval_labels)
        return scores

    def _pixel_probes(self) -> dict[str, float]:
        if self._pixels is None:
            limit = self._config.eval.max_train_examples or self._data.num_train
            examples = min(limit, self._data.num_train)
            self._pixels = {}
            width = math.prod(self._data.shape)
            side, num_bytes = min(width, examples), baseline_bytes(width, examples)
            if side <= MAX_BASELINE_SIDE and num_bytes <= MAX_BASELINE_BYTES:
                probes = self._probes(None)
                self._pixels = {f"{name}_pixels": value for name, value in probes.items()}
            else:
                logging.warning("No probes of raw inputs: they would need too much time or memory.")
        return self._pixels
