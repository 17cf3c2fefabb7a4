"""Evaluation and drawing: what is trained is safe before them, and what is cut short is made up."""

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from maskjax import preemption, workdir
from maskjax.training import hooks
from maskjax.training.run import Run, initial_state
from maskjax.workdir.checkpoint import Checkpoints

SCRIPT = Path(__file__).with_name("toy.py")
# Nothing but evaluation has a step saved.
EVALUATED = {"eval_every_steps": 4, "save_every_steps": 0}


@pytest.fixture(scope="module")
def straight(toy, tmp_path_factory):
    """A run with evaluations that nothing interrupts: its folder and its summary."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, toy.fit(folder, toy.config(**EVALUATED))


class _Watched:
    """Data that remembers what was read, and acts when a batch of the evaluation split is."""

    def __init__(self, data, number=0, act=None):
        self._data, self.number, self._act = data, number, act
        self.start, self.eval_batches_read = None, 0

    def __getattr__(self, name):
        return getattr(self._data, name)

    def train_batches(self, start_step):
        self.start = start_step
        return self._data.train_batches(start_step)

    def eval_batches(self, split, *options):
        for batch in self._data.eval_batches(split, *options):
            self.eval_batches_read += split == "validation"
            if split == "validation" and self.eval_batches_read == self.number:
                self._act()
            yield batch


def _saved(folder):
    """The evaluation losses that the checkpoints of a run hold, by step."""
    with Checkpoints(folder / workdir.CHECKPOINTS, keep=2) as checkpoints:
        return {step: checkpoints.metrics(step).get("loss") for step in checkpoints.steps}


def _assert_same_end(toy, folder, straight):
    summary = workdir.read_summary(folder)
    assert summary["params_sha256"] == straight[1]["params_sha256"]
    assert summary["knn_accuracy"] == straight[1]["knn_accuracy"]
    assert toy.lines(folder) == toy.lines(straight[0])
    assert _saved(folder) == _saved(straight[0])


def test_something_is_due_at_its_interval_and_at_the_end():
    assert [step for step in range(1, 11) if hooks.is_due(step, 4, 10)] == [4, 8, 10]
    assert [step for step in range(1, 11) if hooks.is_due(step, 0, 10)] == [10]


def test_checkpoints_hold_their_evaluation(toy, straight):
    losses = {x["step"]: x["loss"] for x in toy.lines(straight[0]) if x["split"] == "validation"}
    assert list(losses) == [4, 8, 12]
    saved = _saved(straight[0])
    assert {8, 12} <= saved.keys()
    assert saved == {step: losses[step] for step in saved}


@pytest.mark.parametrize(
    ("death", "step"),
    [
        ({"die_in_pass": 1}, 4),
        ({"die_at": ("os.rename", "4/metrics/.metrics-")}, 4),  # evaluated, the best not yet kept
        ({"die_in_pass": 7}, 12),
    ],
)
def test_a_run_killed_in_an_evaluation_loses_no_step(toy, tmp_path, straight, death, step):
    command = [
        sys.executable,
        str(SCRIPT),
        str(tmp_path),
        json.dumps({"config": EVALUATED, **death}),
    ]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / workdir.CHECKPOINTS / str(step)).is_dir()
    assert not (tmp_path / workdir.SUMMARY).exists()
    resumed = _Watched(toy.Data(8))
    toy.fit(tmp_path, toy.config(**EVALUATED), data=resumed)
    assert resumed.start == step
    _assert_same_end(toy, tmp_path, straight)


def _stop_this_process():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("step", [4, 12])
def test_a_stop_during_an_evaluation_leaves_the_rest_to_the_resume(toy, tmp_path, straight, step):
    # 3 batches a pass: the second of the first pass, and the first of the last evaluation.
    told = _Watched(toy.Data(8), {4: 2, 12: 16}[step], _stop_this_process)
    with pytest.raises(preemption.Preempted, match=f"stopped at step {step}, which is saved"):
        toy.fit(tmp_path, toy.config(**EVALUATED), data=told)
    assert told.eval_batches_read == told.number
    resumed = _Watched(toy.Data(8))
    toy.fit(tmp_path, toy.config(**EVALUATED), data=resumed)
    assert resumed.start == step
    _assert_same_end(toy, tmp_path, straight)


def test_a_stop_before_the_final_evaluation_skips_it(toy, tmp_path, straight, monkeypatch):
    tell = lambda run, step, state, metrics: step == 12 and _stop_this_process()  # noqa: E731
    monkeypatch.setattr(hooks, "AFTER_STEP", (tell, *hooks.AFTER_STEP))
    told = _Watched(toy.Data(8))
    with pytest.raises(preemption.Preempted, match="step 12"):
        toy.fit(tmp_path, toy.config(save_every_steps=0), data=told)
    assert told.eval_batches_read == 0
    monkeypatch.undo()
    resumed = _Watched(toy.Data(8))
    summary = toy.fit(tmp_path, toy.config(save_every_steps=0), data=resumed)
    assert resumed.start == 12
    assert summary["validation_loss"] == straight[1]["validation_loss"]


def test_processes_of_a_cluster_start_from_a_run_stop_at_one_place_and_resume(toy, tmp_path):
    other = tmp_path.with_name(f"{tmp_path.name}-other")
    with Checkpoints(other / workdir.CHECKPOINTS) as checkpoints:
        checkpoints.save(7, initial_state(toy.Task(), toy.config()))
    config = {**EVALUATED, "num_devices": 0, "init_from__path": str(other)}

    def start(**options):
        options |= {"port": toy.free_port(), "processes": 2, "config": config}
        return [
            subprocess.Popen(
                [sys.executable, str(SCRIPT), str(tmp_path), json.dumps({**options, "process": i})],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=dict(
                    os.environ, XLA_FLAGS=os.environ["ONE_DEVICE_XLA_FLAGS"], JAX_PLATFORMS="cpu"
                ),
            )
            for i in range(2)
        ]

    def ends(processes):
        return [(*process.communicate(timeout=120), process.returncode) for process in processes]

    processes = start(slow_from=5)
    saved = tmp_path / workdir.CHECKPOINTS / "4"
    toy.wait_for(lambda: saved.is_dir(), processes[0])
    processes[1].send_signal(signal.SIGINT)
    (first, errors, code), (second, _, other_code) = ends(processes)
    assert (code, other_code) == (preemption.EXIT_CODE,) * 2, errors
    assert first.splitlines()[-1] == second.splitlines()[-1]  # it names the step
    assert "which is saved" in second
    assert f"starts at step 0 of 12 from step 7 of {other} (params)" in first
    assert "step 4/12" in first
    assert "step 4/12" not in second
    (first, errors, code), (second, _, other_code) = ends(start())
    assert (code, other_code) == (0, 0), errors
    first, second = (json.loads(out.splitlines()[-1]) for out in (first, second))
    assert first["params_sha256"] == second["params_sha256"]
    assert [x["step"] for x in toy.lines(tmp_path) if x["split"] == "validation"] == [4, 8, 12]


@pytest.fixture
def drawn(monkeypatch):
    """Replace drawing by a list of the steps that were drawn."""
    steps = []

    def draw(task, state, data, config, folder, **_):
        steps.append(int(state.step))
        return {"panel": Figure(figsize=(1, 1), dpi=20)}

    monkeypatch.setattr(hooks.drawing, "draw", draw)
    return steps


def test_a_run_cut_short_while_it_draws_draws_alone(toy, tmp_path, drawn, monkeypatch):
    config = toy.config(figures__num_examples=2)

    def fail(*_, **__):
        raise KeyboardInterrupt

    draw = hooks.drawing.draw
    monkeypatch.setattr(hooks.drawing, "draw", fail)
    with pytest.raises(KeyboardInterrupt):
        toy.fit(tmp_path, config)
    monkeypatch.setattr(hooks.drawing, "draw", draw)
    before = (tmp_path / workdir.METRICS).read_bytes()
    resumed = _Watched(toy.Data(8))
    toy.fit(tmp_path, config, data=resumed)
    assert (resumed.start, resumed.eval_batches_read) == (12, 0)
    assert drawn == [12]
    assert (tmp_path / workdir.METRICS).read_bytes() == before
    assert (tmp_path / workdir.SUMMARY).exists()


def test_a_stop_before_drawing_skips_it(toy, tmp_path, drawn):
    config = toy.config(figures__num_examples=2, figures__every_steps=5)
    told = _Watched(toy.Data(8), 9, _stop_this_process)  # the last batch of all
    with pytest.raises(preemption.Preempted, match="step 12"):
        toy.fit(tmp_path, config, data=told)
    assert drawn == [5, 10]
    toy.fit(tmp_path, config)
    assert drawn == [5, 10, 12]


def test_a_failure_before_anything_is_saved_is_advised_to_go_elsewhere(tmp_path):
    (tmp_path / workdir.METRICS).write_text('{"step": 1, "split": "train"}\n')
    run = object.__new__(Run)  # no more of it is looked at
    vars(run).update(folder=tmp_path, checkpoints=types.SimpleNamespace(steps=[]))
    with pytest.raises(FloatingPointError) as failure, hooks.advising(run):
        raise FloatingPointError("lower the rate")
    assert failure.value.__notes__ == ["other settings or data need another --workdir"]
