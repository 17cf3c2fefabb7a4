"""Whole runs: what they leave behind, and that no way of stopping changes how they end."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from maskjax import data as data_layer
from maskjax import preemption, workdir
from maskjax.data import prefetch
from maskjax.training import evaluate, hooks, loop, parallel, run
from maskjax.workdir import loggers
from maskjax.workdir.leaves import params_sha256

SCRIPT = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="module")
def straight(toy, tmp_path_factory):
    """A run that nothing interrupts: its folder and its summary."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, toy.fit(folder)


def test_a_finished_run_leaves_its_files(straight):
    folder, summary = straight
    assert json.loads((folder / workdir.SUMMARY).read_text()) == summary
    assert summary["steps"] == 12
    assert len(summary["params_sha256"]) == 64
    assert summary["seconds"] > 0
    expected = {"loss", "validation_loss", "knn_accuracy", "linear_accuracy"}
    expected |= {"knn_accuracy_pixels", "linear_accuracy_pixels", "learning_rate", "grad_norm"}
    expected |= {"test_loss", "test_knn_accuracy", "test_linear_accuracy_pixels"}
    assert expected <= summary.keys()
    assert sorted(path.name for path in (folder / workdir.CHECKPOINTS).iterdir()) == ["12", "8"]
    assert json.loads((folder / workdir.CONFIG).read_text())["config"]["total_steps"] == 12


def test_lines_have_step_split_loss_and_speed(toy, straight):
    lines = loggers.read_metrics(straight[0])
    assert [x["step"] for x in lines if x["split"] == "train"] == [1, 2, 4, 6, 8, 10, 12]
    assert [x["step"] for x in lines if x["split"] == "validation"] == [12]
    assert [x["split"] for x in lines[-2:]] == ["validation", "test"]
    assert lines[-1]["step"] == 12
    for line in lines[:-2]:
        assert set(toy.MEASURED) <= line.keys()
        assert line["mfu"] is None
        assert line["loss"] > 0
    assert lines[0]["compile_seconds"] > 0
    for line in lines[-2:]:
        assert {"loss", "knn_accuracy", "linear_accuracy", "knn_accuracy_pixels"} <= line.keys()


def test_training_lowers_the_loss_of_rows_and_masks_that_stay_the_same(toy, straight):
    config, task = toy.config(), toy.Task()
    untrained = run.initial_state(task, config)
    evaluator = evaluate.Evaluator(task, toy.Data(8), config, parallel.Spread(1))
    assert straight[1]["validation_loss"] < 0.95 * evaluator(untrained)["loss"]


class _Interrupted:
    """Data that does something to its process when a step's batch is asked for."""

    def __init__(self, data, step, act):
        self._data, self._step, self._act = data, step, act

    def __getattr__(self, name):
        return getattr(self._data, name)

    def train_batches(self, start_step):
        for step, batch in enumerate(self._data.train_batches(start_step), start_step):
            if step == self._step:
                self._act()
            yield batch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_saves_and_ends_as_if_nothing_had_happened(toy, tmp_path, straight, number):
    config = toy.config(save_every_steps=0)
    stopping = _Interrupted(toy.Data(8), 6, lambda: os.kill(os.getpid(), number))
    with pytest.raises(preemption.Preempted) as stopped:
        toy.fit(tmp_path, config, data=stopping)
    step = stopped.value.step
    assert 0 < step < 12
    assert (tmp_path / workdir.CHECKPOINTS / str(step)).is_dir()
    assert not (tmp_path / workdir.SUMMARY).exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    summary = toy.fit(tmp_path, config)
    assert summary["params_sha256"] == straight[1]["params_sha256"]
    assert toy.lines(tmp_path) == toy.lines(straight[0])


def test_a_stop_reaches_a_run_whose_loader_stalls(toy, tmp_path, straight, monkeypatch):
    monkeypatch.setattr(prefetch, "_CLOSE_SECONDS", 0.1)
    over = threading.Event()

    def stall():
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
        over.wait()

    config = toy.config(save_every_steps=0)
    with pytest.raises(preemption.Preempted, match="stopped at step 6, which is saved"):
        toy.fit(tmp_path, config, data=_Interrupted(toy.Data(8), 6, stall))
    over.set()
    assert toy.fit(tmp_path, config)["params_sha256"] == straight[1]["params_sha256"]
    assert toy.lines(tmp_path) == toy.lines(straight[0])


@pytest.mark.parametrize(
    ("number", "is_clustered"),
    [
        (signal.SIGTERM, False),
        (signal.SIGTERM, True),
        (signal.SIGINT, True),
        (signal.SIGKILL, False),
    ],
)
def test_a_killed_process_is_resumed_bitwise(toy, tmp_path, straight, number, is_clustered):
    options = {"slow_from": 7, "config": {"save_every_steps": 3}}
    if is_clustered:
        options |= {"port": toy.free_port(), "process": 0, "processes": 1}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path), json.dumps(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    toy.wait_for((tmp_path / workdir.CHECKPOINTS / "6").is_dir, process)
    process.send_signal(number)
    out, _ = process.communicate(timeout=300)
    if number != signal.SIGKILL:
        assert process.returncode == preemption.EXIT_CODE
        assert "the same command resumes it" in out
    else:
        assert process.returncode == -signal.SIGKILL
    # Interrupted or not, saved often or seldom: the numbers are the same.
    summary = toy.fit(tmp_path, toy.config(save_every_steps=5))
    assert summary["params_sha256"] == straight[1]["params_sha256"]
    assert toy.lines(tmp_path) == toy.lines(straight[0])


@pytest.fixture(scope="module")
def from_file(toy, tmp_path_factory):
    """A config of rows in a file, and a run of it that no worker helps and nothing interrupts."""
    folder = tmp_path_factory.mktemp("from_file")
    rows = np.random.default_rng(0).normal(size=(40, toy.WIDTH)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(np.int32)
    np.savez(folder / "x.npz", x_train=rows[:24], y_train=labels[:24], x_test=rows[24:],
             y_test=labels[24:])  # fmt: skip
    config = toy.config(data__source=f"array:{folder / 'x.npz'}", save_every_steps=3)
    data = data_layer.build(config.data, seed=config.seed, batch_size=config.batch_size)
    return config, folder, toy.fit(folder, config, data=data)


@pytest.mark.parametrize(("number", "num_workers"), [(signal.SIGTERM, 2), (signal.SIGINT, 1)])
def test_a_signal_to_the_loaders_workers_too_is_resumed_bitwise(
    toy, tmp_path, from_file, number, num_workers
):
    config, folder, straight = from_file
    config = config.copy_and_resolve_references()
    config.data.num_workers = num_workers
    options = {"slow_from": 7, "config": {"data": config.data.to_dict(), "save_every_steps": 3}}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path), json.dumps(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a shell or a scheduler makes it
    )
    toy.wait_for((tmp_path / workdir.CHECKPOINTS / "6").is_dir, process)
    os.killpg(process.pid, number)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == preemption.EXIT_CODE, errors
    assert "the same command resumes it" in out
    config.data.num_workers -= 1  # one or none goes on as well
    data = data_layer.build(config.data, seed=config.seed, batch_size=config.batch_size)
    summary = toy.fit(tmp_path, config, data=data)
    assert summary["params_sha256"] == straight["params_sha256"]
    assert toy.lines(tmp_path) == toy.lines(folder)


@pytest.mark.parametrize(
    ("event", "part"),
    [
        ("os.rename", ".config.json-"),  # config.json is written, not yet in its place
        ("os.mkdir", "8.orbax-checkpoint-tmp"),  # a save begins
        ("os.rename", "8.orbax-checkpoint-tmp"),  # it is whole, but not yet in its place
        ("os.rename", ".summary.json-"),
    ],
)
def test_a_run_killed_in_the_middle_of_writing_is_resumed_bitwise(
    toy, tmp_path, straight, event, part
):
    command = [sys.executable, str(SCRIPT), str(tmp_path), json.dumps({"die_at": (event, part)})]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / workdir.SUMMARY).exists()
    summary = toy.fit(tmp_path)
    assert summary["params_sha256"] == straight[1]["params_sha256"]
    assert toy.lines(tmp_path) == toy.lines(straight[0])


def test_a_run_whose_newest_checkpoint_is_damaged_ends_the_same(toy, tmp_path, straight):
    stop = _Interrupted(toy.Data(8), 11, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(preemption.Preempted):
        toy.fit(tmp_path, data=stop)
    newest = max((tmp_path / workdir.CHECKPOINTS).iterdir(), key=lambda path: int(path.name))
    for file in newest.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    assert toy.fit(tmp_path)["params_sha256"] == straight[1]["params_sha256"]
    assert toy.lines(tmp_path) == toy.lines(straight[0])


def test_the_state_of_a_run_can_be_read_from_outside(toy, straight, tmp_path):
    folder, summary = straight
    state = run.load_state(toy.Task(), toy.config(), folder)
    assert int(state.step) == 12
    assert params_sha256(state.params) == summary["params_sha256"]
    with pytest.raises(FileNotFoundError, match="no checkpoints"):
        run.load_state(toy.Task(), toy.config(), tmp_path)
    (tmp_path / workdir.CHECKPOINTS).mkdir()
    with pytest.raises(FileNotFoundError, match="no whole checkpoint"):
        run.load_state(toy.Task(), toy.config(), tmp_path)


def test_a_kill_between_the_last_save_and_the_summary_costs_nothing(toy, tmp_path, straight):
    toy.fit(tmp_path)
    before = toy.lines(tmp_path)
    (tmp_path / workdir.SUMMARY).unlink()
    task = toy.Task()
    summary = toy.fit(tmp_path, task=task)
    assert task.loss_traces == 0
    assert summary["params_sha256"] == straight[1]["params_sha256"]
    assert summary["knn_accuracy"] == straight[1]["knn_accuracy"]
    assert toy.lines(tmp_path) == before


def test_a_finished_run_is_looked_up_and_another_config_refused(toy, straight, monkeypatch):
    folder, summary = straight
    never = lambda *_, **__: pytest.fail("nothing is to be built")  # noqa: E731
    monkeypatch.setattr(loop.tasks, "build", never, raising=False)
    monkeypatch.setattr(loop.data_layer, "build", never)
    assert loop.train(toy.config(log_every_steps=1, num_devices=4), folder) == summary
    with pytest.raises(ValueError, match=r"total_steps \(12 there, 24 here\)"):
        loop.train(toy.config(total_steps=24), folder)


def test_a_finished_run_is_not_looked_up_for_data_of_another_name(toy, straight, monkeypatch):
    folder, summary = straight
    there = toy.Data(8)
    monkeypatch.setattr(loop.data_layer, "build", lambda *_, **__: there)
    moved = toy.config(data__source="toy:moved")
    assert loop.train(moved, folder) == summary
    there.num_train = 65
    with pytest.raises(ValueError, match=r"on other data: num_train \(64 there, 65 here\)"):
        loop.train(moved, folder)


class _Failing:
    """Data that fails in a batch of training, or in one of evaluation."""

    def __init__(self, data, step=None):
        self._data, self._step = data, step

    def __getattr__(self, name):
        return getattr(self._data, name)

    def train_batches(self, start_step):
        for step, batch in enumerate(self._data.train_batches(start_step), start_step):
            if step == self._step:
                raise ValueError("the file is gone")
            yield batch

    def eval_batches(self, *arguments):
        if self._step is None:
            raise ValueError("the file is gone")
        return self._data.eval_batches(*arguments)


@pytest.mark.parametrize(("step", "saved"), [(7, 7), (None, 12)])
def test_what_fails_beside_the_step_costs_no_step(toy, straight, tmp_path, step, saved):
    with pytest.raises(ValueError, match="the file is gone") as failure:
        toy.fit(tmp_path, toy.config(save_every_steps=0), data=_Failing(toy.Data(8), step))
    first, second = failure.value.__notes__
    assert first == f"step {saved} is saved: the same command goes on from it"
    assert f"--config.init_from.path={tmp_path} --config.init_from.what=all" in second
    assert (tmp_path / workdir.CHECKPOINTS / str(saved)).is_dir()
    again = toy.fit(tmp_path, toy.config(save_every_steps=0))
    assert again["params_sha256"] == straight[1]["params_sha256"]


def test_a_first_batch_that_fails_leaves_the_folder_free(toy, tmp_path):
    with pytest.raises(ValueError, match="the file is gone") as failure:
        toy.fit(tmp_path, data=_Failing(toy.Data(8), 0))
    assert not hasattr(failure.value, "__notes__")
    workdir.check(toy.config(seed=9), tmp_path)


def test_too_many_steps_that_are_not_finite_stop_the_run(toy, tmp_path):
    task = toy.Task(poison=lambda step: jnp.where(step >= 5, jnp.nan, 1.0))
    with pytest.raises(FloatingPointError, match="in 3 steps in a row, up to step 8"):
        toy.fit(tmp_path, task=task)
    lines = loggers.read_metrics(tmp_path)
    assert lines[-1]["loss"] is None
    # What was saved before the trouble is there.
    assert (tmp_path / workdir.CHECKPOINTS / "4").is_dir()


def test_the_guard_also_sees_the_last_step(toy, tmp_path):
    task = toy.Task(poison=lambda step: jnp.where(step >= 9, jnp.nan, 1.0))
    with pytest.raises(FloatingPointError, match="up to step 12"):
        toy.fit(tmp_path, task=task)
    assert not (tmp_path / workdir.SUMMARY).exists()


def test_a_batch_that_does_not_fit_leaves_no_folder(toy, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match="batch_size 10 does not divide by 4 devices"):
        toy.fit(folder, toy.config(batch_size=10, num_devices=4))
    assert not folder.exists()


def test_a_path_rule_that_finds_nothing_leaves_no_folder(toy, tmp_path):
    config = toy.config(optimizer__frozen=("^elsewhere/",))
    with pytest.raises(ValueError, match=r"elsewhere.* is found in none"):
        toy.fit(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_pictures_are_drawn_from_the_judged_parameters_and_listed(toy, tmp_path, monkeypatch):
    drawn = []

    def draw(task, state, data, config, folder, say):
        drawn.append((int(state.step), state.eval_params["kernel"]))
        (folder / workdir.FIGURES).mkdir(exist_ok=True)
        (folder / workdir.FIGURES / "panel.png").write_bytes(b"picture")
        return {"panel": Figure(figsize=(1, 1), dpi=20)}

    monkeypatch.setattr(hooks.drawing, "draw", draw)
    config = toy.config(total_steps=3, figures__num_examples=2, figures__every_steps=2)
    summary = toy.fit(tmp_path, config)
    assert [step for step, _ in drawn] == [2, 3]
    assert all(isinstance(kernel, np.ndarray) for _, kernel in drawn)
    assert summary["figures"] == ["figures/panel.png"]
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"figures/panel" in events.read_bytes()
