"""Trackers that a config chooses: what they are given, and that none of them ends a run."""

import json
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from maskjax import workdir
from maskjax.workdir import loggers, trackers

# A client that notes what it is asked, and fails where it is told to.
FAKE_WANDB = """
import json, pathlib
calls, fails_at = [], None

class Run:
    def log(self, content, step):
        if step == fails_at:
            raise RuntimeError("the service\\nis gone")
        calls.append((step, content))
    def finish(self):
        calls.append("finish")

def Image(pixels):
    return pixels.shape

def Settings(**options):
    return options

def init(**options):
    calls.append(options)
    return Run()
"""
FAKE_MLFLOW = """
import types
calls = []
entities = types.SimpleNamespace(Metric=lambda *values: values)

class MlflowClient:
    def __init__(self, uri):
        calls.append(uri)
    def get_experiment_by_name(self, name):
        return None
    def create_experiment(self, name, place):
        return "7"
    def create_run(self, experiment, run_name):
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=f"id of {run_name}"))
    def __getattr__(self, name):
        return lambda *values, **named: calls.append((name, *values, *named.values()))
"""


@pytest.fixture
def fake(tmp_path_factory, monkeypatch):
    """`fake(name)`: a stand-in for a service's client that imports find, as a module."""
    place = tmp_path_factory.mktemp("clients")
    monkeypatch.syspath_prepend(place)
    for name in ("WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)

    def install(name):
        content = {"wandb": FAKE_WANDB, "mlflow": FAKE_MLFLOW}[name]
        (place / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(name)

    yield install
    for name in ("wandb", "mlflow"):
        sys.modules.pop(name, None)


def _log(folder, steps, names, start=0):
    folder.mkdir(exist_ok=True)
    config = folder / workdir.CONFIG
    config.exists() or config.write_text('{"config": {}}')
    with loggers.RunLog(folder, start, 9, names=names, config={"mask.ratio": 0.5}) as log:
        for step in steps:
            log.write(step, "train", {"loss": 1 / step, "hits@10": 0.5, "mfu": None})
        log.write_figures(steps[-1], {"panel": Figure(figsize=(1, 1), dpi=20)})


def test_wandb_gets_config_numbers_and_pictures_and_goes_on_with_its_run(tmp_path, fake):
    wandb = fake("wandb")
    _log(tmp_path / "run", [1, 2], ("wandb",))
    begun, first, second, picture, end = wandb.calls
    assert (begun["name"], begun["project"]) == ("run", "maskjax")
    assert begun["config"] == {"mask.ratio": 0.5}
    assert first == (1, {"train/loss": 1.0, "train/hits@10": 0.5})
    assert second == (2, {"train/loss": 0.5, "train/hits@10": 0.5})
    assert picture == (2, {"figures/panel": (20, 20, 3)})
    assert end == "finish"
    _log(tmp_path / "run", [3], ("wandb",), start=2)
    again = wandb.calls[5]
    assert again["id"] == begun["id"]
    assert again["resume"] == "allow"


def test_mlflow_gets_config_numbers_and_pictures_and_goes_on_with_its_run(tmp_path, fake):
    mlflow = fake("mlflow")
    _log(tmp_path / "run", [2], ("jsonl", "mlflow"))
    assert mlflow.calls[0] == f"sqlite:///{tmp_path}/run/mlflow.db"
    assert ("log_param", "id of run", "mask.ratio", "0.5") in mlflow.calls
    ((_, run, metrics),) = (call for call in mlflow.calls if call[0] == "log_batch")
    assert run == "id of run"
    assert [(name, value, step) for name, value, _, step in metrics] == [
        ("train/loss", 0.5, 2),
        ("train/hits_10", 0.5, 2),  # it takes no @
    ]
    ((_, _, pixels, file),) = (call for call in mlflow.calls if call[0] == "log_image")
    assert (pixels.shape, pixels.dtype, file) == ((20, 20, 3), np.uint8, "figures/panel-2.png")
    assert mlflow.calls[-1] == ("set_terminated", "id of run")
    before = len(mlflow.calls)
    _log(tmp_path / "run", [3], ("mlflow",), start=2)
    assert not [call for call in mlflow.calls[before:] if call[0] == "log_param"]


def test_a_service_that_fails_is_warned_of_once_and_the_run_goes_on(tmp_path, fake, caplog):
    wandb = fake("wandb")
    wandb.fails_at = 2
    _log(tmp_path, [1, 2, 3], ("wandb", "tensorboard"))
    (warning,) = caplog.messages
    assert warning == "wandb gets no more of this run: the service is gone"
    assert [call[0] for call in wandb.calls[1:]] == [1]
    assert [line["step"] for line in loggers.read_metrics(tmp_path)] == [1, 2, 3]
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"figures/panel" in events.read_bytes()


def test_a_service_that_cannot_begin_is_warned_of_and_the_run_goes_on(
    tmp_path, fake, caplog, monkeypatch
):
    monkeypatch.setattr(fake("wandb"), "init", lambda **_: 1 / 0)
    _log(tmp_path, [1], ("wandb",))
    assert caplog.messages == ["wandb gets no more of this run: division by zero"]
    assert len(loggers.read_metrics(tmp_path)) == 1


def test_metrics_are_written_whatever_is_chosen(tmp_path):
    _log(tmp_path, [1], ())
    assert json.loads((tmp_path / workdir.METRICS).read_text())["loss"] == 1.0
    assert not list(tmp_path.glob("events.*"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("wanb",), "unknown name in loggers 'wanb' (did you mean 'wandb'?); known: jsonl, mlflow"),
        (("jsonl", "wandb"), "loggers: wandb is not installed: pip install wandb, or leave it out"),
        ("wandb", "loggers is 'wandb': it must be a tuple of names, as ('wandb',)"),
    ],
)
def test_what_is_unknown_or_not_installed_is_refused(monkeypatch, names, message):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError) as refused:
        trackers.check(names)
    assert str(refused.value).startswith(message)
