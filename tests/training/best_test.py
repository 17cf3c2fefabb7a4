"""The best state by validation is the one that is judged on test, and used."""

import json
import math

import numpy as np
import pytest

from maskjax import preemption, workdir
from maskjax.evaluation.metrics import Table
from maskjax.tools.report import report
from maskjax.tools.study_run import measured
from maskjax.training import evaluate, hooks, run
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.leaves import params_sha256
from maskjax.workdir.lines import read_metrics

OPTIONS = {"eval_every_steps": 2, "total_steps": 8, "log_every_steps": 0, "save_every_steps": 0}
OPTIONS |= {"keep_checkpoints": 1, "loggers": ("jsonl",)}
NAN = math.nan


@pytest.fixture
def scripted(monkeypatch):
    """Let validation give chosen losses, at steps 2, 4 ...; returns the steps that test judged."""

    def script(losses):
        tested = []

        def call(self, state, split="validation", before_batch=lambda: None, validated=None):
            step = int(state.step)
            if split == "test":
                tested.append(step)
                self.tables = {}
                return {"loss": 0.01 * step}
            self.tables = {"per_class": Table(("a",), ("f1",), np.array([[10.0 * step]]))}
            return {"loss": losses[step // 2 - 1]}

        monkeypatch.setattr(evaluate.Evaluator, "__call__", call)
        return tested

    return script


# Losses of the evaluations, options, the step that test judges.
CASES = [
    ([3.0, 1.0, 2.0, 2.0], {}, 4),
    ([2.0, 1.0, 1.0, 3.0], {}, 4),
    ([3.0, 2.0, 1.0, 0.5], {}, 8),
    ([NAN, NAN, NAN, NAN], {}, 8),
    ([3.0, 0.4, 2.0, 0.1], {"stop__value": 0.5}, 4),
    # Neither .9 nor .8 is so much better that it would wait; .8 is the best all the same.
    ([1.0, 0.9, 0.8, 2.0], {"stop__patience": 2, "stop__min_delta": 0.5}, 6),
]


@pytest.mark.parametrize(("losses", "options", "best"), CASES, ids=str)
def test_the_state_of_the_best_evaluation_is_judged(toy, tmp_path, scripted, losses, options, best):
    tested = scripted(losses)
    chosen = toy.config(**OPTIONS, stop__metric="loss", **options)
    summary = toy.fit(tmp_path, chosen)
    assert tested == [best] == [summary["best_step"]]
    value = losses[best // 2 - 1]
    assert summary["best_value"] == (None if math.isnan(value) else value)
    assert summary["validation_loss"] == summary["best_value"]
    assert summary["test_loss"] == 0.01 * best
    assert summary["per_class"] == {"a": {"f1": 10.0 * best}}
    assert measured(tmp_path)["validation"]["loss"] == summary["best_value"]
    why = "the last: no evaluation gave a finite loss" if math.isnan(value) else "the best by vali"
    assert f"validation and test are of step {best}, {why}" in report(summary, tmp_path)
    test = read_metrics(tmp_path)[-1]
    assert (test["split"], test["step"]) == ("test", summary["steps"])
    assert test.get("best_step", test["step"]) == best


def test_without_a_watched_number_the_last_state_is_judged_and_used(toy, tmp_path, scripted):
    tested = scripted([3.0, 1.0, 2.0, 2.5])
    summary = toy.fit(tmp_path, toy.config(**OPTIONS))
    assert tested == [8]
    assert (summary["validation_loss"], summary["test_loss"]) == (2.5, 0.08)
    assert not [name for name in summary if name.startswith("best")]
    assert "best_step" not in (tmp_path / workdir.METRICS).read_text()
    for which, step in {"": 8, "newest": 8, "best": 4}.items():
        assert int(run.load_state(toy.Task(), toy.config(**OPTIONS), tmp_path, which).step) == step


@pytest.fixture
def finished(toy, tmp_path, scripted):
    """A finished run whose best evaluation is not the last; its folder, config and summary."""
    scripted([3.0, 1.0, 2.0, 2.5])
    chosen = toy.config(**OPTIONS, stop__metric="loss")
    return tmp_path, chosen, toy.fit(tmp_path, chosen)


def _unjudged(folder):
    """Turn a finished folder into one that was killed before test was judged."""
    (folder / workdir.SUMMARY).unlink()
    path = folder / workdir.METRICS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(x for x in lines if json.loads(x)["split"] != "test"))


def test_hashes_are_those_of_the_last_and_of_the_best(finished, toy):
    folder, chosen, summary = finished
    with Checkpoints(folder / workdir.CHECKPOINTS, read_only=True) as checkpoints:
        assert checkpoints.steps == [4, 8]
        fresh = run.initial_state(toy.Task(), chosen)
        states = [checkpoints.restore_step(step, fresh) for step in (4, 8)]
    hashes = [params_sha256(state.params) for state in states]
    assert [summary[name] for name in ("best_params_sha256", "params_sha256")] == hashes
    assert hashes[0] != hashes[1]


def test_predict_and_init_from_take_the_best_where_a_number_is_watched(finished, toy):
    folder, chosen, summary = finished
    for which, step in {"": 4, "newest": 8, "best": 4}.items():
        assert int(run.load_state(toy.Task(), chosen, folder, which).step) == step
    for options, step in [
        ({}, 4),
        ({"init_from__state": "newest"}, 8),
        ({"init_from__what": "all", "total_steps": 9}, 8),
        ({"init_from__what": "all", "init_from__state": "best"}, 4),
    ]:
        new = toy.config(**(OPTIONS | options), init_from__path=str(folder))
        fresh = run.initial_state(toy.Task(), new)
        _, record, _ = run.init_from.start(fresh, new, lambda step, factor: 0.0)
        assert record["step"] == step
    assert summary["best_step"] == 4


def test_a_run_killed_before_its_test_is_judged_alike(finished, toy, monkeypatch):
    folder, chosen, summary = finished
    lines = toy.lines(folder)
    _unjudged(folder)
    again = toy.fit(folder, chosen)
    same = ("best_step", "best_value", "best_params_sha256", "params_sha256", "test_loss")
    assert [again[name] for name in same] == [summary[name] for name in same]
    assert toy.lines(folder) == lines


def test_a_damaged_best_is_named_and_the_next_best_is_judged(finished, toy, caplog, capsys):
    folder, chosen, _ = finished
    _unjudged(folder)
    for file in (folder / workdir.CHECKPOINTS / "4").rglob("*"):
        if file.is_file() and file.parent.name != "metrics":
            file.write_bytes(b"")
    summary = toy.fit(folder, chosen)
    assert (summary["best_step"], summary["best_value"]) == (8, 2.5)
    assert f"{folder / workdir.CHECKPOINTS / '4'} is damaged" in caplog.text
    assert "loss was best at step 4, of which there is no whole checkpoint: step 8 is judged" in (
        capsys.readouterr().out
    )


def test_the_last_lines_say_what_was_judged(finished):
    folder, _, summary = finished
    text = report(summary, folder)
    assert "validation and test are of step 4, the best by validation: loss 1.0000" in text
    assert [line.split() for line in text.splitlines() if line.split()[0] == "loss"] == [
        ["loss", f"{summary['loss']:.4f}", "1.0000", "0.0400"]
    ]


def test_the_best_of_four_devices_is_that_of_one(toy, tmp_path, monkeypatch):
    plain = evaluate.Evaluator.__call__

    def call(self, state, split="validation", before_batch=lambda: None, validated=None):
        if split == "test":
            return plain(self, state, split, before_batch, validated)
        return {"loss": abs(int(state.step) - 3.9)}

    monkeypatch.setattr(evaluate.Evaluator, "__call__", call)
    found = []
    for number in (1, 4):
        chosen = toy.config(**OPTIONS, stop__metric="loss", num_devices=number, eval__probes=())
        summary = toy.fit(tmp_path / str(number), chosen)
        assert summary["best_step"] == 4
        best = run.load_state(toy.Task(), chosen, tmp_path / str(number))
        found.append((summary["test_loss"], np.asarray(best.params["kernel"])))
    np.testing.assert_allclose(*[loss for loss, _ in found], rtol=1e-5)
    np.testing.assert_allclose(*[kernel for _, kernel in found], atol=1e-5)


def _interrupt(toy, folder, chosen, monkeypatch, at):
    def stop(run, step, state, metrics):
        if step == at:
            run.checkpoints.save(step, state)
            raise preemption.Preempted(step)

    with monkeypatch.context() as patched:
        patched.setattr(hooks, "AFTER_STEP", (stop, *hooks.AFTER_STEP))
        with pytest.raises(preemption.Preempted):
            toy.fit(folder, chosen)


@pytest.mark.parametrize("before", [{}, {"stop__metric": "other", "stop__patience": 9}], ids=str)
def test_a_resumed_run_may_watch_another_number(toy, tmp_path, scripted, monkeypatch, before):
    scripted([1.0, 2.0, 3.0, 4.0])
    if before:
        scripted_call = evaluate.Evaluator.__call__
        both = lambda *args, **kw: scripted_call(*args, **kw) | {"other": 0.0}  # noqa: E731
        monkeypatch.setattr(evaluate.Evaluator, "__call__", both)
        monkeypatch.setattr(evaluate.Evaluator, "names", lambda *_: {"loss", "other"})
    _interrupt(toy, tmp_path, toy.config(**OPTIONS, **before), monkeypatch, at=5)
    summary = toy.fit(tmp_path, toy.config(**OPTIONS, stop__metric="loss", stop__patience=2))
    # Best at step 2; no better at 4, before it was watched, nor at 6.
    assert summary["steps"] == 6
    assert "not better than 1" in summary["ended"]


def test_a_slip_in_the_plateaus_number_can_be_mended_and_nothing_else(
    toy, tmp_path, scripted, monkeypatch
):
    scripted([1.0, 2.0, 3.0, 4.0])
    plateau = {**OPTIONS, "optimizer__schedule": "plateau", "optimizer__plateau__patience": 1}
    right, slip = (toy.config(**plateau, optimizer__plateau__metric=x) for x in ("loss", "los"))
    with pytest.raises(ValueError, match=r"plateau.metric 'los' is no number .*mean 'loss'"):
        toy.fit(tmp_path / "mended", slip)
    workdir.check(right, tmp_path / "mended")
    mended, straight = (toy.fit(tmp_path / name, right) for name in ("mended", "straight"))
    assert mended["params_sha256"] == straight["params_sha256"]
    other = tmp_path / "straight"
    (other / workdir.SUMMARY).unlink()
    with pytest.raises(ValueError, match=r"plateau.metric \('loss' there, 'los' here\)"):
        workdir.check(slip, other)


def test_the_best_state_is_drawn_at_the_end(finished, toy, monkeypatch):
    folder, chosen, _ = finished
    _unjudged(folder)
    drawn = []
    chosen.figures.num_examples = 2
    draw = lambda task, state, *_, say: drawn.append(int(state.step)) or {}  # noqa: E731
    monkeypatch.setattr(hooks.drawing, "draw", draw)
    toy.fit(folder, chosen)
    assert drawn == [4]
