"""A task and data small enough to check by hand, with the interfaces of the real ones.

The task hides a random share of each row's entries, a different count in every row, and predicts
them from the visible ones by one matrix: loss_sum = sum of squared errors on hidden entries,
weight_sum = their number.

As a script, `toy.py FOLDER [OPTIONS]` trains it in a process of its own and prints the losses.
OPTIONS is JSON: "config" (overrides), "port", "process" and "processes" (to join a cluster),
"slow_from" (a step from which batches take a second and a half, so that a signal finds it under
way), "die_in_pass" (in which pass over the evaluation split, from 1, it is killed) and "die_at" (an
audit event of Python and a part of its first argument: there it is killed).
"""

import functools
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

import maskjax.config
from maskjax import data as data_layer
from maskjax import preemption
from maskjax.evaluation.metrics import Mean, numbers
from maskjax.tasks.task import Sums
from maskjax.tasks.task import Task as Base
from maskjax.training import loop, parallel, run
from maskjax.workdir import loggers

WIDTH = 6
DEFAULTS = {
    "task": "toy",
    "seed": 3,
    "total_steps": 12,
    "batch_size": 8,
    "num_devices": 1,
    "max_nonfinite_steps": 2,
    "log_every_steps": 2,
    "save_every_steps": 4,
    "data.source": "toy",
    "optimizer.base_lr": 0.5,
    "optimizer.warmup_steps": 3,
    "optimizer.min_lr": 0.001,
    "eval.knn_k": 3,
    "eval.batch_size": 8,
    "figures.num_examples": 0,
}
# Numbers of a line of metrics.jsonl that a clock decides.
MEASURED = ("seconds", "step_seconds", "examples_per_second", "data_wait_share", "flops_per_second")


class Task(Base):
    """Linear prediction of hidden entries."""

    flops_per_example = 6.0 * WIDTH * WIDTH

    def __init__(self, poison=None):
        """`poison(step) -> factor` multiplies the loss; a NaN there makes a step non-finite."""
        self.poison = poison
        self.loss_traces = 0

    def init(self, key):
        return {
            "kernel": 0.3 * jax.random.normal(key, (WIDTH, WIDTH)),
            "bias": jnp.zeros(WIDTH),
        }

    def is_masked(self, keys):
        ratio = jax.vmap(jax.random.uniform)(keys)
        noise = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1), (WIDTH,)))(keys)
        return noise < 0.2 + 0.6 * ratio[:, None]

    def loss(self, params, batch, context):
        self.loss_traces += 1
        x = batch["inputs"].reshape(-1, WIDTH)
        is_masked = self.is_masked(context.keys)
        predicted = jnp.where(is_masked, 0.0, x) @ params["kernel"] + params["bias"][None]
        weights = is_masked.astype(jnp.float32)
        if "is_valid" in batch:
            weights = weights * batch["is_valid"][:, None]
        loss = jnp.sum(weights * (predicted - x) ** 2)
        if self.poison is not None:
            loss = loss * self.poison(context.step)
        hidden = Mean(jnp.sum(weights), jnp.float32(len(x) * WIDTH))
        return Sums(loss, jnp.sum(weights), {"hidden_share": hidden})

    def outputs(self):
        return {"features": self.features}

    def features(self, params, batch, context):
        return batch["inputs"].reshape(-1, WIDTH) @ params["kernel"]


class Data:
    """Rows of a low-rank Gaussian; the label is the sign of the first entry."""

    shape = (WIDTH,)
    num_skipped = 0

    def __init__(self, batch_size, seed=0, num_classes=2, process_index=0, process_count=1):
        rng = np.random.default_rng(7)
        mixing = rng.normal(size=(2, WIDTH)).astype(np.float32)
        self._rows = {
            "train": rng.normal(size=(64, 2)).astype(np.float32) @ mixing,
            "validation": rng.normal(size=(21, 2)).astype(np.float32) @ mixing,
            "test": rng.normal(size=(10, 2)).astype(np.float32) @ mixing,
        }
        self.num_train, self.num_validation, self.num_test = 64, 21, 10
        self.num_classes = num_classes
        self.class_names = None
        self._batch_size, self._seed = batch_size, seed
        self._process_index, self._process_count = process_index, process_count

    @property
    def in_words(self):
        others = f"{self.num_validation} validation and {self.num_test} test rows"
        return f"{self.num_train} training, {others}"

    def on_device(self, batch):
        return batch

    def describe(self):
        names = ("num_train", "num_validation", "num_test", "shape", "num_classes")
        others = {"class_names": None, "fingerprints": {}}
        return {name: getattr(self, name) for name in names} | others

    def _batch(self, rows, **others):
        batch = {"inputs": rows, "label": (rows[:, 0] > 0).astype(np.int32), **others}
        size = len(rows) // self._process_count
        mine = slice(self._process_index * size, (self._process_index + 1) * size)
        return {name: values[mine] for name, values in batch.items()}

    def train_batches(self, start_step):
        step = start_step
        while True:
            chosen = np.random.default_rng((self._seed, step)).integers(0, 64, self._batch_size)
            yield self._batch(self._rows["train"][chosen])
            step += 1

    def eval_batches(self, split, batch_size, limit=None):
        rows = self._rows[split][:limit]
        for first in range(0, len(rows), batch_size):
            part = rows[first : first + batch_size]
            is_valid = np.arange(batch_size) < len(part)
            part = np.concatenate([part, np.zeros((batch_size - len(part), WIDTH), np.float32)])
            yield self._batch(part, is_valid=is_valid)


def config(**overrides):
    """Make a complete config; overrides are named with "__" for the dot."""
    config = maskjax.config.base(**DEFAULTS)
    config.mask = ml_collections.ConfigDict({"rule": "random", "ratio": 0.5})
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in overrides.items()})
    return config


def fit(folder, chosen=None, *, task=None, data=None):
    """Train in a folder; what is not given is the plain one of this module."""
    chosen = chosen or config()
    return loop.fit(task or Task(), data or Data(chosen.batch_size), chosen, folder)


def lines(folder):
    """Lines of metrics.jsonl without what a clock decides."""
    hidden = {*MEASURED, "compile_seconds"}
    return [
        {name: value for name, value in line.items() if name not in hidden}
        for line in loggers.read_metrics(folder)
    ]


def trajectory(config, task=None, *, global_arrays=None, on_step=None):
    """Take all steps of a config without the loop; returns the metrics of each and the state."""
    task = task or Task()
    spread = parallel.Spread(config.num_devices, global_arrays=global_arrays)
    state = spread.replicate(run.initial_state(task, config))
    program = spread.program(run.make_step(task, config, spread.axis_name), donate=True)
    batches = Data(config.batch_size).train_batches(0)
    metrics = []
    for _ in range(config.total_steps):
        state, reported = program(state, spread.split(next(batches)))
        reported = jax.device_get(reported)
        metrics.append(reported | numbers(reported.pop("metrics")))
        if on_step is not None:
            on_step(state)
    return metrics, state


def free_port():
    """Find a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def wait_for(condition, process):
    """Wait until a condition holds while a process runs."""
    for _ in range(3000):  # five minutes, for a machine that does much beside
        if condition():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    raise AssertionError("the run did not get there")


class _Scripted:
    """Data that is slow, and deadly; see the top of this file."""

    def __init__(self, data, slow_from=10**9, die_in_pass=0):
        self._data, self._slow_from, self._passes_left = data, slow_from, die_in_pass

    def __getattr__(self, name):
        return getattr(self._data, name)

    def train_batches(self, start_step):
        for step, batch in enumerate(self._data.train_batches(start_step), start_step):
            if step >= self._slow_from:
                time.sleep(1.5)
            yield batch

    def eval_batches(self, split, *options):
        self._passes_left -= split == "validation"
        for batch in self._data.eval_batches(split, *options):
            yield batch
            if self._passes_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _die_at(chosen, part, event, arguments):
    """Be killed by the first such event, before it has an effect."""
    if event == chosen and part in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)


def main(folder, options="{}"):
    """Train in a folder; see the top of this file."""
    options = json.loads(options)
    if "port" in options:
        address = f"localhost:{options['port']}"
        jax.distributed.initialize(address, options["processes"], options["process"])
    chosen = config(**options.get("config", {}))
    place = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    if chosen.data.source == "toy":
        data = Data(chosen.batch_size, **place)
    else:
        data = data_layer.build(
            chosen.data, seed=chosen.seed, batch_size=chosen.batch_size, **place
        )
    acts = {name: options[name] for name in ("slow_from", "die_in_pass") if name in options}
    if "die_at" in options:
        sys.addaudithook(functools.partial(_die_at, *options["die_at"]))
    try:
        summary = loop.fit(Task(), _Scripted(data, **acts), chosen, Path(folder))
    except preemption.Preempted as stopped:
        print(stopped)
        sys.exit(preemption.EXIT_CODE)
    losses = [line["loss"] for line in loggers.read_metrics(folder) if line["split"] == "train"]
    print(json.dumps({"losses": losses, **summary}))


if __name__ == "__main__":
    main(*sys.argv[1:])
