"""What a run's frozen features are worth, beside the same probes on raw inputs."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import evaluation
from maskjax.training import parallel
from maskjax.training.state import TrainState
from maskjax.training.step import eval_keys
from maskjax.typing import Array, Batch, PyTree

# The raw-input baseline is left out where its training split would not fit in memory beside it.
MAX_BASELINE_BYTES = 4 * 2**30


class Evaluator:
    """Evaluates states of one run; what does not depend on the state is computed once."""

    def __init__(self, task: Any, data: Any, config: Any, spread: parallel.Spread):
        """Prepare; nothing runs yet.

        Args:
          task: has `loss` and `features`.
          data: has `eval_batches(split, batch_size, limit)` and `num_classes`.
          config: the run's; "seed", "total_steps" and "eval" are read.
          spread: the devices.
        """
        self._data, self._config, self._spread = data, config, spread
        devices = spread.num_devices
        self._batch_size = -(-config.eval.batch_size // devices) * devices
        self._pixels: dict[str, float] | None = None

        def loss(params: PyTree, batch: Batch) -> PyTree:
            keys = eval_keys(config.seed, batch["index"])
            step = jnp.int32(config.total_steps)
            total, (weight, metrics) = task.loss(params, batch, keys, step)
            return parallel.psum((total, weight, metrics), spread.axis_name)

        def features(params: PyTree, inputs: Array) -> Array:
            return task.features(params, inputs)

        self._loss = spread.program(loss)
        self._features = spread.program(features, rows_out=True)

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Evaluate the state's parameters, the averaged ones where it has them.

        Returns:
          "loss" and the task's metrics over the evaluation split, masked by keys and a step
          (the last) that are the same at every evaluation. With labels also "knn_accuracy" and
          "linear_accuracy" of the features, and both with "_pixels" of the normalised inputs.
        """
        params = state.eval_params
        report = self._losses(params)
        if self._data.num_classes is not None:
            report |= self._probes(*self._collect(params, "train"), *self._collect(params, "eval"))
            report |= self._pixel_probes()
        return report

    def _batches(self, split: str) -> Iterator[Batch]:
        limit = self._config.eval.max_train_examples or None if split == "train" else None
        return self._data.eval_batches(split, self._batch_size, limit)

    def _place(self, rows: PyTree) -> PyTree:
        return self._spread.split(self._spread.share(rows))

    def _losses(self, params: PyTree) -> dict[str, float]:
        total: Any = None
        for number, batch in enumerate(self._batches("eval")):
            first = number * self._batch_size
            rows = dict(batch, index=np.arange(first, first + self._batch_size, dtype=np.int32))
            part = jax.device_get(self._loss(params, self._place(rows)))
            part = jax.tree.map(np.float64, part)
            total = part if total is None else jax.tree.map(np.add, total, part)
        loss, weight, metrics = total
        pairs = {"loss": (loss, weight), **metrics}
        return {name: float(a / b) if b else float("nan") for name, (a, b) in pairs.items()}

    def _collect(self, params: PyTree | None, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Features (raw inputs where `params` is None) and labels of a split, padding removed."""
        rows, labels = [], []
        for batch in self._batches(split):
            is_valid = np.asarray(batch["is_valid"])
            if params is None:
                values = batch["inputs"].reshape(self._batch_size, -1)
            else:
                values = self._spread.join(self._features(params, self._place(batch["inputs"])))
            rows.append(values[is_valid])
            labels.append(np.asarray(batch["label"])[is_valid])
        return np.concatenate(rows), np.concatenate(labels)

    def _probes(
        self, x: np.ndarray, y: np.ndarray, eval_x: np.ndarray, eval_y: np.ndarray
    ) -> dict[str, float]:
        knn_k = min(self._config.eval.knn_k, len(x))
        return {
            "knn_accuracy": float(evaluation.knn_accuracy(x, y, eval_x, eval_y, k=knn_k)),
            "linear_accuracy": float(evaluation.linear_accuracy(x, y, eval_x, eval_y)),
        }

    def _pixel_probes(self) -> dict[str, float]:
        if self._pixels is None:
            examples = self._data.num_train
            limit = self._config.eval.max_train_examples or examples
            size = 4 * int(np.prod(self._data.shape)) * min(limit, examples)
            self._pixels = {}
            if size <= MAX_BASELINE_BYTES:
                probes = self._probes(*self._collect(None, "train"), *self._collect(None, "eval"))
                self._pixels = {f"{name}_pixels": value for name, value in probes.items()}
        return self._pixels
