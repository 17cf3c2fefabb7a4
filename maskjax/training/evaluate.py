"""What a state is worth on examples that it did not learn from: loss, metrics and probes."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from maskjax.evaluation import probes
from maskjax.evaluation.metrics import Mean, numbers
from maskjax.tasks.task import Sums, Task
from maskjax.training import parallel
from maskjax.training.state import TrainState
from maskjax.training.step import eval_context
from maskjax.typing import Array, Batch, PyTree


class Evaluator:
    """Evaluates states of one run; what does not depend on the state is computed once."""

    def __init__(self, task: Task, data: Any, config: Any, spread: parallel.Spread):
        """Prepare; nothing runs yet.

        Args:
            task: what is judged; where it has the output "features", these are probed.
            data: has `eval_batches(split, batch_size, limit)`, `num_train` and `num_classes`, and
                what the task's baselines ask of it.
            config: the run's; "seed", "total_steps" and "eval" are read.
            spread: the devices.

        Raises:
            ValueError: an unknown probe.
        """
        self._task, self._data, self._config, self._spread = task, data, config, spread
        devices = spread.num_devices
        self._batch_size = -(-config.eval.batch_size // devices) * devices
        chosen = probes.chosen(config.eval.probes)
        self._probes = chosen if "features" in task.outputs() else ()
        self._raw: dict[str, float] | None = None
        self._baselines: dict[str, dict[str, float]] = {}

        def sums(judged: PyTree, batch: Batch) -> Sums:
            params, memory = judged
            whole = task.loss(params, batch, eval_context(config, batch, memory))
            return parallel.psum(whole._replace(statistics=()), spread.axis_name)

        def features(judged: PyTree, batch: Batch) -> Array:
            params, memory = judged
            return task.outputs()["features"](params, batch, eval_context(config, batch, memory))

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
            (the last) that are the same at every evaluation. Where there are labels of two classes,
            also "NAME_accuracy" of each of `config.eval.probes` on the features, and with "raw"
            "NAME_accuracy_pixels" on the normalised inputs, unless that takes too much time or
            memory; and the task's baselines. Nothing where the data has no evaluation split.
        """
        self._before_batch = before_batch
        judged = (state.eval_params, state.memory)
        report, last = self._judge(judged)
        if self._probes and "label" in last and (self._data.num_classes or 0) > 1:

            def features(batch: Batch) -> np.ndarray:
                return self._spread.join(self._features(judged, self._spread.split(batch)))

            report |= probes.accuracies(self._probes, self._examples(features), self._config.eval)
            if probes.RAW in self._probes and "inputs" in last:
                report |= self._of_inputs(math.prod(last["inputs"].shape[1:]))
        if report:
            report |= self._beside("eval")
        return report

    def _batches(self, split: str) -> Iterator[Batch]:
        limit = self._config.eval.max_train_examples or None if split == "train" else None
        for number, batch in enumerate(self._data.eval_batches(split, self._batch_size, limit)):
            self._before_batch()
            size = len(batch["is_valid"])
            first = number * self._batch_size + jax.process_index() * size
            yield dict(batch, index=np.arange(first, first + size, dtype=np.int32))

    def _judge(self, judged: PyTree) -> tuple[dict[str, float], Batch]:
        """Loss and metrics over the evaluation split, and its last batch; nothing of no split."""
        total: Any = None
        batch: Batch = {}
        for batch in self._batches("eval"):
            part = jax.device_get(self._sums(judged, self._spread.split(batch)))
            part = jax.tree.map(np.float64, part)
            total = part if total is None else jax.tree.map(np.add, total, part)
        if total is None:
            return {}, {}
        return numbers({"loss": Mean(total.loss, total.weight), **total.metrics}), batch

    def _examples(self, rows_of: Callable[[Batch], np.ndarray]) -> probes.Examples:
        """Rows and labels of both splits, padding removed."""

        def collect(split: str) -> tuple[np.ndarray, np.ndarray]:
            rows, labels = [], []
            for batch in self._batches(split):
                whole = parallel.gather_rows({key: batch[key] for key in ("label", "is_valid")})
                is_valid = np.asarray(whole["is_valid"])
                rows.append(rows_of(batch)[is_valid])
                labels.append(np.asarray(whole["label"])[is_valid])
            return np.concatenate(rows), np.concatenate(labels)

        return probes.Examples(*collect("train"), *collect("eval"))

    def _beside(self, split: str) -> dict[str, float]:
        """The task's baselines, which no state changes."""
        if split not in self._baselines:
            self._baselines[split] = dict(self._task.baselines(self._data, split))
        return self._baselines[split]

    def _of_inputs(self, width: int) -> dict[str, float]:
        """Probes of raw inputs, which no state changes."""
        if self._raw is None:
            limit = self._config.eval.max_train_examples or self._data.num_train
            self._raw = {}
            if probes.can_probe_raw(width, min(limit, self._data.num_train)):

                def inputs(batch: Batch) -> np.ndarray:
                    return parallel.gather_rows(batch["inputs"]).reshape(-1, width)

                examples = self._examples(inputs)
                self._raw = probes.raw_accuracies(self._probes, examples, self._config.eval)
        return self._raw
