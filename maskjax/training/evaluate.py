"""What a state is worth on examples that it did not learn from: loss, metrics and probes."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from maskjax.data.corruption import SEVERITIES
from maskjax.evaluation import probes
from maskjax.evaluation.metrics import Mean, Table, numbers, tables
from maskjax.tasks.task import Sums, Task
from maskjax.training import parallel
from maskjax.training.state import TrainState
from maskjax.training.step import eval_context
from maskjax.typing import Array, Batch, PyTree


class _Judge(NamedTuple):
    """A task and its programs, which take (params, memory) and a batch."""

    task: Task
    sums: parallel.Program
    outputs: Mapping[str, parallel.Program]


class Evaluator:
    """Evaluates states of one run; what does not depend on the state is computed once.

    Attributes:
        tables: what the last evaluation found that is no single number, by name.
    """

    def __init__(self, task: Task, data: Any, config: Any, spread: parallel.Spread):
        """Prepare; nothing runs yet.

        Args:
            task: what is judged; where it has the output "features", these are probed, and where it
                has "logits", these are ranked.
            data: has `eval_batches(split, batch_size, limit)`, `num_train`, `num_classes` and
                `class_names`, and what the task's baselines ask of it.
            config: the run's; "seed", "total_steps" and "eval" are read.
            spread: the devices.

        Raises:
            ValueError: an unknown probe.
        """
        self.tables: dict[str, Table] = {}
        self._task, self._data, self._config, self._spread = task, data, config, spread
        devices = spread.num_devices
        self._batch_size = -(-config.eval.batch_size // devices) * devices
        chosen = probes.chosen(config.eval.probes)
        outputs = task.outputs()
        self._probes = tuple(name for name in chosen if name not in probes.RANKINGS)
        self._probes = self._probes if "features" in outputs else ()
        self._rankings = tuple(name for name in chosen if name in probes.RANKINGS)
        self._rankings = self._rankings if "logits" in outputs else ()
        self._learned: tuple[PyTree, dict[str, probes.Judge]] = (None, {})
        self._learned_raw: dict[str, probes.Judge] | None = None
        self._raw: dict[str, dict[str, float]] = {}
        self._baselines: dict[str, dict[str, float]] = {}
        self._judges: dict[int, _Judge] = {}

    def _of(self, task: Task) -> _Judge:
        """The programs of a task, made once."""
        if id(task) in self._judges:
            return self._judges[id(task)]
        data, config, spread = self._data, self._config, self._spread

        def sums(judged: PyTree, batch: Batch) -> Sums:
            params, memory = judged
            context = eval_context(config, batch, memory)
            whole = task.loss(params, data.on_device(batch), context)
            return parallel.psum(whole._replace(statistics=()), spread.axis_name)

        def output(name: str, judged: PyTree, batch: Batch) -> Array:
            params, memory = judged
            context = eval_context(config, batch, memory)
            return task.outputs()[name](params, data.on_device(batch), context)

        outputs = {
            name: spread.program(functools.partial(output, name), rows_out=True)
            for name in task.outputs()
        }
        self._judges[id(task)] = _Judge(task, spread.program(sums), outputs)
        return self._judges[id(task)]

    def __call__(
        self,
        state: TrainState,
        split: str = "validation",
        before_batch: Callable[[], None] = lambda: None,
        validated: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Evaluate the state's parameters, the averaged ones where it has them.

        Args:
            state: what is evaluated.
            split: "validation" or "test". What probes learn from the training examples serves both.
            before_batch: called before each batch, equally often in every process; what it raises
                ends the evaluation.
            validated: numbers of the state's validation, by which the task chooses among what was
                learned side by side; None where this is the validation.

        Returns:
            "loss" and the task's metrics over the split, masked by keys and a step (the last) that
            are the same at every evaluation. Where there are labels of two classes, also
            "NAME_accuracy" of each of `config.eval.probes` on the features, and with "raw"
            "NAME_accuracy_pixels" on the normalised inputs, unless that takes too much time or
            memory; of logits the rankings among them, by their names; "accuracy" under each of
            `config.eval.corruptions` at each severity (see `_corrupted`); and the task's baselines.
            Nothing where the data has no such split.
        """
        self._before_batch = before_batch
        judged = (state.eval_params, state.memory)
        judge = self._of(self._task if validated is None else self._task.chosen(validated))
        report, last = self._judge(judge, judged, split)
        judge = self._of(judge.task.chosen(report))
        has_classes = "label" in last and (self._data.num_classes or 0) > 1
        if self._rankings and (has_classes or "target" in last):
            logits = self._examples(split, self._rows_of(judge.outputs["logits"], judged))
            report |= probes.ranked(self._rankings, logits)
        if self._probes and has_classes:
            features = self._rows_of(judge.outputs["features"], judged)
            if self._learned[0] is not judged[0]:
                self._learned = judged[0], self._learn(features)
            report |= probes.accuracies(self._learned[1], self._examples(split, features))
            if probes.RAW in self._probes and "inputs" in last:
                report |= self._of_inputs(split, math.prod(last["inputs"].shape[1:]))
        if report:
            report |= self._corrupted(judge, judged, split, report) | self._beside(split)
        return report

    def names(self, state: TrainState) -> set[str]:
        """Name the numbers that a validation gives, some only where examples have labels.

        Args:
            state: or its shapes; nothing is computed of it.
        """
        batch = next(iter(self._data.eval_batches("validation", self._batch_size)))
        batch = dict(batch, index=np.arange(len(batch["is_valid"]), dtype=np.int32))

        def sums(params: PyTree, memory: PyTree, batch: Batch) -> Sums:
            context = eval_context(self._config, batch, memory)
            return self._task.loss(params, self._data.on_device(batch), context)

        shapes = jax.eval_shape(sums, state.eval_params, state.memory, batch)
        found = {*_numbers(self._task, jax.tree.map(lambda x: np.zeros(x.shape), shapes))}
        of = "accuracy" if "accuracy" in found else "loss"
        for name in filter(None, self._config.eval.corruptions):
            found |= {f"{of}_corrupted", f"{of}_{name}"}
            found |= {f"{of}_{name}_{severity}" for severity in SEVERITIES}
        named = [name for name in self._probes if name != probes.RAW]
        probed = {f"{name}_accuracy" for name in named}
        if probes.RAW in self._probes:
            repeated = (name for name in named if name not in probes.OF_LABELS)
            probed |= {f"{name}_accuracy_pixels" for name in repeated}
        return found | probed | {*self._rankings, *self._beside("validation")}

    def _rows_of(self, program: parallel.Program, judged: PyTree) -> Callable[[Batch], np.ndarray]:
        """What makes an output of a batch, on the host, in the order of the whole batch."""
        return lambda batch: self._spread.join(program(judged, self._spread.split(batch)))

    def collect(self, state: TrainState, split: str, output: str) -> dict[str, np.ndarray]:
        """Compute an output of every example of a split.

        Returns:
            The rows under the output's name, "label" or "target" where there are, and "is_valid",
            False for what could not be decoded: all in the order of the split, on every host.
        """
        program, parts = self._of(self._task).outputs[output], []
        rows_of = self._rows_of(program, (state.eval_params, state.memory))
        for batch in self._data.eval_batches(split, self._batch_size):
            names = [name for name in ("id", "is_valid", "label", "target") if name in batch]
            index = np.arange(len(batch["id"]), dtype=np.int32)  # for keys, which decide nothing
            rows = rows_of(dict(batch, index=index))
            parts.append({**parallel.gather_rows({x: batch[x] for x in names}), output: rows})
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        is_example = whole.pop("id") >= 0
        return {name: array[is_example] for name, array in whole.items()}

    def _learn(
        self, rows_of: Callable[[Batch], np.ndarray], *, is_raw: bool = False
    ) -> dict[str, probes.Judge]:
        names = [name for name in self._probes if not (is_raw and name in probes.OF_LABELS)]
        return probes.learn(names, self._examples("train", rows_of), self._config.eval)

    def _batches(
        self, split: str, limit: int = 0, corruption: tuple[str, int] | None = None
    ) -> Iterator[Batch]:
        how = (self._batch_size, limit or None, *([corruption] if corruption else []))
        for number, batch in enumerate(self._data.eval_batches(split, *how)):
            self._before_batch()
            size = len(batch["is_valid"])
            first = number * self._batch_size + jax.process_index() * size
            yield dict(batch, index=np.arange(first, first + size, dtype=np.int32))

    def _judge(self, judge: _Judge, judged: PyTree, split: str) -> tuple[dict[str, float], Batch]:
        """Loss and metrics over a split, and its last batch; nothing of no split."""
        total, batch = self._total(judge, judged, self._batches(split))
        names = judge.task.class_names or self._data.class_names or ()
        self.tables = {} if total is None else tables(total.metrics, names)
        return _numbers(judge.task, total), batch

    def _total(self, judge: _Judge, judged: PyTree, batches: Iterator[Batch]) -> tuple[Any, Batch]:
        """The sums over batches and the last of these; None and {} where there are none."""
        total: Any = None
        batch: Batch = {}
        for batch in batches:
            part = jax.device_get(judge.sums(judged, self._spread.split(batch)))
            part = jax.tree.map(np.float64, part)
            total = part if total is None else jax.tree.map(np.add, total, part)
        return total, batch

    def _corrupted(
        self, judge: _Judge, judged: PyTree, split: str, clean: Mapping[str, float]
    ) -> dict[str, float]:
        """The accuracy, or the loss where there is none, of corrupted examples.

        Returns:
            "accuracy_NAME_SEVERITY", their means over severities "accuracy_NAME", and the mean of
            all "accuracy_corrupted".
        """
        of = "accuracy" if "accuracy" in clean else "loss"
        found, means = {}, {}
        for name in filter(None, self._config.eval.corruptions):
            at = {}
            for severity in SEVERITIES:
                batches = self._batches(
                    split, self._config.eval.max_corrupted_examples, (name, severity)
                )
                total, _ = self._total(judge, judged, batches)
                at[f"{of}_{name}_{severity}"] = _numbers(judge.task, total)[of]
            found |= at
            means[f"{of}_{name}"] = float(np.mean([*at.values()]))
        mean = {f"{of}_corrupted": float(np.mean([*means.values()]))} if means else {}
        return found | means | mean

    def _examples(self, split: str, rows_of: Callable[[Batch], np.ndarray]) -> probes.Examples:
        """Rows and labels of a split, padding removed."""
        rows, labels = [], []
        limit = self._config.eval.max_train_examples if split == "train" else 0
        for batch in self._batches(split, limit):
            truth = "label" if "label" in batch else "target"
            whole = parallel.gather_rows({key: batch[key] for key in (truth, "is_valid")})
            is_valid = np.asarray(whole["is_valid"])
            rows.append(rows_of(batch)[is_valid])
            labels.append(np.asarray(whole[truth])[is_valid])
        return probes.Examples(np.concatenate(rows), np.concatenate(labels))

    def _beside(self, split: str) -> dict[str, float]:
        """The task's baselines, which no state changes."""
        if split not in self._baselines:
            self._baselines[split] = dict(self._task.baselines(self._data, split))
        return self._baselines[split]

    def _of_inputs(self, split: str, width: int) -> dict[str, float]:
        """Probes of raw inputs, which no state changes."""

        def inputs(batch: Batch) -> np.ndarray:
            complete = np.asarray(self._data.on_device(batch)["inputs"])
            return parallel.gather_rows(complete).reshape(-1, width)

        if self._learned_raw is None:
            limit = self._config.eval.max_train_examples or self._data.num_train
            can = probes.can_probe_raw(width, min(limit, self._data.num_train))
            self._learned_raw = self._learn(inputs, is_raw=True) if can else {}
        if split not in self._raw:
            judges = self._learned_raw
            found = probes.accuracies(judges, self._examples(split, inputs)) if judges else {}
            self._raw[split] = {f"{name}_pixels": value for name, value in found.items()}
        return self._raw[split]


def _numbers(task: Task, total: Sums | None) -> dict[str, float]:
    """What sums say; nothing of none, and no loss of a task that has none."""
    if total is None:
        return {}
    loss = {"loss": Mean(total.loss, total.weight)} if task.loss_label else {}
    return numbers({**loss, **total.metrics})
