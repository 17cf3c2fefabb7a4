"""A task that is nobody's but the user's: one file and one config, through the real launcher.

The module below imports what a task is and nothing else of maskjax/tasks; it lies beside its config
in a folder that is not this repository. It is trained, judged, drawn, killed and resumed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maskjax import data, workdir
from maskjax.tools.answers import open_answers
from maskjax.tools.predict import predict
from maskjax.tools.visualize import draw_run
from maskjax.workdir import loggers

ROOT = Path(__file__).parents[2]
LENGTH = 6

TASK = '''
"""A multilayer perceptron that fills in the half of a vector that noise replaced."""

import math
import os
import signal
import sys

import jax
import jax.numpy as jnp

from maskjax.evaluation.metrics import Mean
from maskjax.evaluation.panels import ArrayPanel
from maskjax.tasks.task import Sums, Task


class FillIn(Task):
    loss_label = "mean square error of hidden entries"

    def __init__(self, shape, hidden):
        self.shape, self.length = shape, math.prod(shape)
        self.widths = (self.length, *hidden, self.length)

    def init(self, key):
        layers = {}
        for i, (rows, columns) in enumerate(zip(self.widths, self.widths[1:])):
            kernel = jax.random.normal(jax.random.fold_in(key, i), (rows, columns)) / rows**0.5
            layers[f"layer{i}"] = {"kernel": kernel, "bias": jnp.zeros(columns)}
        return layers

    def predict(self, params, x):
        for name in sorted(params):
            if name != "layer0":
                x = jax.nn.relu(x)
            x = x @ params[name]["kernel"] + params[name]["bias"][None]
        return x

    def hide(self, batch, keys):
        x = jnp.asarray(batch["inputs"]).reshape(-1, self.length)
        order = jax.vmap(lambda key: jax.random.permutation(key, self.length))(keys)
        noise = jax.vmap(lambda key: jax.random.normal(key, (self.length,)))(keys)
        is_hidden = order < self.length // 2
        return x, is_hidden, jnp.where(is_hidden, noise, x)

    def loss(self, params, batch, context):
        x, is_hidden, seen = self.hide(batch, context.keys)
        weights = is_hidden.astype(jnp.float32)
        if "is_valid" in batch:
            weights = weights * batch["is_valid"][:, None]
        error = weights * (self.predict(params, seen) - x) ** 2
        always_zero = Mean((weights * x**2).sum(), weights.sum())
        return Sums(error.sum(), weights.sum(), {"always_zero": always_zero})

    def show(self, params, batch, context):
        x, is_hidden, seen = self.hide(batch, context.keys)
        found = self.predict(params, seen)
        parts = (x, seen, found, jnp.where(is_hidden, found, x), is_hidden, is_hidden & False)
        return {"filled_in": ArrayPanel(*(part.reshape(-1, *self.shape) for part in parts))}


def build(config, data):
    return FillIn(tuple(data.shape), tuple(config.model.hidden))


def _die(event, arguments):
    if event == "os.rename" and "9.orbax-checkpoint-tmp" in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)  # the save of step 9 is whole, but not in its place


if "DIES" in os.environ:
    sys.addaudithook(_die)
'''

CONFIG = """
import numpy as np
from ml_collections import ConfigDict

from maskjax import data
from maskjax.config import base


@data.register("vectors_of_mine")
def vectors(argument, settings):
    del settings
    return data.Splits(data.ArraySource(np.load(argument)["x"]))


def get_config():
    config = base(
        task="of_mine.fill_in",
        batch_size=16,
        total_steps=12,
        log_every_steps=4,
        save_every_steps=3,
        num_devices=1,
        **{
            "data.source": "vectors_of_mine:vectors.npz",
            "optimizer.base_lr": 0.3,
            "optimizer.warmup_steps": 2,
            "eval.batch_size": 16,
            "figures.num_examples": 2,
        },
    )
    config.model = ConfigDict({"hidden": (5, 4)})
    return config.lock()
"""


def _train(place, name, **environment):
    """Begin a run in a process of its own."""
    command = [sys.executable, str(ROOT / "launch" / "train.py"), "--config=config.py"]
    return subprocess.Popen(
        [*command, f"--workdir={name}"],
        cwd=place,
        env=dict(os.environ, XLA_FLAGS=os.environ["ONE_DEVICE_XLA_FLAGS"], **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A user's folder, with one run that went through and one that was killed and went on."""
    place = tmp_path_factory.mktemp("stranger")
    (place / "of_mine").mkdir()
    (place / "of_mine" / "fill_in.py").write_text(TASK)
    (place / "config.py").write_text(CONFIG)
    walk = np.cumsum(np.random.default_rng(0).normal(size=(90, LENGTH)), axis=1)
    np.savez(place / "vectors.npz", x=walk.astype(np.float32)[..., None])
    straight, killed = _train(place, "straight"), _train(place, "killed", DIES="1")
    for process, expected in ((straight, 0), (killed, -signal.SIGKILL)):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == expected, errors
    assert not (place / "killed" / workdir.SUMMARY).exists()
    assert sorted(path.name for path in (place / "killed" / workdir.CHECKPOINTS).glob("[0-9]")) == [
        "3",
        "6",
    ]
    resumed = _train(place, "killed")
    _, errors = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, errors
    return place


def test_it_trains_and_is_judged_by_its_own_metric(place):
    summary = workdir.read_summary(place / "straight")
    assert summary["steps"] == 12
    lines = {line["split"]: line for line in loggers.read_metrics(place / "straight")}
    for split in ("validation", "test"):
        assert 0 < lines[split]["loss"] < 10
        # Always answering 0 costs the variance, 1 as they are normalised; nine say about so.
        assert 0.2 < lines[split]["always_zero"] < 4


def test_it_is_drawn(place):
    figures = {path.stem for path in (place / "straight" / workdir.FIGURES).glob("*.png")}
    assert {"filled_in", "loss"} <= figures


@pytest.fixture
def as_new(monkeypatch):
    """A process that knows nothing of the folder yet."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = [(sys.modules, name) for name in ("of_mine", "of_mine.fill_in")]
    for known, name in [*names, (data.SOURCES, "vectors_of_mine")]:
        monkeypatch.setitem(known, name, None)  # what a test adds goes with it
        monkeypatch.delitem(known, name)


def test_it_predicts_from_anywhere_with_the_task_beside_its_config(
    place, tmp_path, monkeypatch, as_new
):
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", np.zeros((2, LENGTH, 1), np.float32))
    answers = open_answers(place / "straight", None)
    (path,) = predict(answers, ["own.npy"], output=tmp_path / "own.png")
    assert Path(path).stat().st_size > 0


def test_it_is_drawn_again_with_the_source_that_its_config_registers(
    place, tmp_path, monkeypatch, as_new
):
    monkeypatch.chdir(place)
    drawn = draw_run(Path("straight"), out=tmp_path)
    assert {"filled_in", "loss"} <= {path.stem for path in drawn if path.exists()}


def test_a_config_file_that_is_gone_is_named_where_it_is_needed(
    place, tmp_path, monkeypatch, as_new
):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", np.zeros((2, LENGTH, 1), np.float32))
    path = tmp_path / "straight" / workdir.CONFIG
    record = json.loads(path.read_text())
    assert record["config_file"] == str(place / "config.py")
    path.write_text(json.dumps(record | {"config_file": "/gone/config.py"}))
    with pytest.raises(ValueError, match="unknown data source 'vectors_of_mine'") as caught:
        next(predict(open_answers(Path("straight"), None), ["own.npy"]))
    assert "/gone/config.py is gone" in caught.value.__notes__[0]
    record["config"]["data"]["source"] = "array:vectors.npz"  # then the task alone is one's own
    path.write_text(json.dumps(record | {"config_file": "/gone/config.py"}))
    assert next(predict(open_answers(Path("straight"), None), ["own.npy"])).endswith(".png")


def test_killed_and_resumed_it_ends_bitwise_as_without(place):
    straight, resumed = (workdir.read_summary(place / name) for name in ("straight", "killed"))
    assert resumed["params_sha256"] == straight["params_sha256"]
    assert resumed["validation_loss"] == straight["validation_loss"]
    config = json.loads((place / "killed" / workdir.CONFIG).read_text())
    assert len(config["resumed"]) == 1
