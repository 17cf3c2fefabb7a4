"""What ends a run, and what lowers its rate, by the numbers of its evaluations."""

import shutil

import jax
import numpy as np
import pytest

from maskjax import preemption, workdir
from maskjax.training import hooks, schedule
from maskjax.workdir import loggers, watch


def observed(toy, values, metric="loss", **overrides):
    """The watches and the reason to end after each evaluation."""
    config = toy.config(eval_every_steps=1, **overrides)
    watches, found = jax.device_get(watch.start(config)), []
    for value in values:
        watches, reason = watch.observe(watches, config, {"step": 3, metric: value})
        found.append((watches, reason))
    return found


STOP = {"stop__metric": "loss"}
# Options, values of the metric, at which evaluation (from 0) the run ends.
ENDS = [
    ({"stop__value": 0.5}, [0.9, 0.51, 0.5, 0.2], 2),
    ({"stop__value": 0.5, "stop__mode": "max"}, [0.1, 0.6], 1),
    ({"stop__patience": 2}, [3.0, 2.0, 2.5, 1.9, 1.9, 2.0], 5),
    ({"stop__patience": 1}, [3.0, 2.0, None], 2),
    ({"stop__patience": 2, "stop__min_delta": 0.25}, [3.0, 2.8, 2.76, 2.6], 2),
    ({"stop__patience": 1, "stop__mode": "max"}, [0.1, 0.2, 0.3, 0.3], 3),
    ({"stop__patience": 1, "stop__value": -1.0}, [3.0, -1.0], 1),
    ({"stop__patience": 3}, [None, None, None], 2),
]


@pytest.mark.parametrize(("options", "values", "end"), ENDS, ids=str)
def test_a_run_ends_at_the_value_or_when_patience_is_gone(toy, options, values, end):
    reasons = [reason for _, reason in observed(toy, values, **STOP, **options)]
    assert [bool(reason) for reason in reasons[: end + 1]] == [False] * end + [True]


def test_a_plateau_lowers_the_rate_each_time_that_patience_is_gone(toy):
    options = {"optimizer__schedule": "plateau", "optimizer__plateau__patience": 2}
    values = [3.0, 2.0, 2.0, 2.1, 2.2, 2.3, 1.0]
    watches = [w["plateau"] for w, _ in observed(toy, values, **options)]
    assert [float(w.factor) for w in watches] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert float(watches[-1].best) == 1.0


def test_the_rate_of_a_plateau_warms_up_and_has_a_floor():
    options = {"peak": 1.0, "warmup_steps": 10, "min_lr": 0.3}
    rates = [
        float(schedule.plateau_rate(s, f, **options)) for s, f in [(5, 1.0), (10, 1.0), (99, 0.5)]
    ]
    np.testing.assert_allclose(
        [*rates, schedule.plateau_rate(99, 0.1, **options)], [0.5, 1, 0.5, 0.3]
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"stop__metric": "loss", "stop__value": 1.0}, "stop.metric needs .* set eval_every_steps"),
        ({"stop__patience": 3}, "need a number to watch: set stop.metric"),
        ({"stop__metric": "loss", "stop__value": float("nan")}, "stop.value is nan"),
        ({"optimizer__schedule": "plateau"}, "'plateau' needs .* set eval_every_steps"),
    ],
)
def test_watching_what_is_never_seen_is_refused(toy, overrides, message):
    with pytest.raises(ValueError, match=message):
        watch.start(toy.config(**overrides))


def test_a_number_that_no_evaluation_has_is_refused(toy):
    with pytest.raises(ValueError, match=r"stop.metric 'f1' is no number .* one of \['loss'\]"):
        observed(toy, [1.0], stop__metric="f1", stop__patience=1)


def test_a_run_without_validation_examples_cannot_be_watched(toy, tmp_path):
    data = toy.Data(8)
    data.num_validation = 0
    chosen = toy.config(eval_every_steps=2, **STOP, stop__patience=1)
    with pytest.raises(ValueError, match=r"need validation .* data\.validation_fraction"):
        toy.fit(tmp_path, chosen, data=data)


def test_a_slip_in_what_is_watched_can_be_mended(toy, tmp_path):
    options = {"eval_every_steps": 2, "stop__value": 1e9}
    with pytest.raises(
        ValueError, match=r"'los' is no number .*did you mean 'loss'\?\): use one of \['hid"
    ):
        toy.fit(tmp_path, toy.config(stop__metric="los", **options))
    assert not any(tmp_path.iterdir())  # it is known before the first step
    summary = toy.fit(tmp_path, toy.config(stop__metric="loss", **options))
    assert summary["steps"] == 2
    trained = [line for line in loggers.read_metrics(tmp_path) if line["split"] == "train"]
    assert summary["loss"] == trained[-1]["loss"]
    assert trained[-1]["step"] == 2


WATCHED = {
    "eval_every_steps": 2,
    "save_every_steps": 3,
    "total_steps": 40,
    "stop__metric": "loss",
    "stop__patience": 4,
    "optimizer__schedule": "plateau",
    "optimizer__plateau__patience": 1,
    "optimizer__base_lr": 6.0,
}


@pytest.fixture(scope="module")
def straight(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return folder, toy.fit(folder, toy.config(**WATCHED))


def test_a_run_that_no_longer_gets_better_ends_as_a_finished_one(straight):
    folder, summary = straight
    assert summary["steps"] < 40
    assert "stop.patience" in summary["ended"]
    assert workdir.read_summary(folder)["steps"] == summary["steps"]
    rates = [
        line["learning_rate"] for line in loggers.read_metrics(folder) if line["split"] == "train"
    ]
    assert rates[-1] < 0.3 * max(rates)
    lines = loggers.read_metrics(folder)
    losses = [line["loss"] for line in lines if line["split"] == "validation"]
    assert [line["step"] for line in lines if line["split"] == "test"] == [summary["steps"]]
    assert losses.index(min(losses)) == len(losses) - 5


@pytest.mark.parametrize("place", ["in an evaluation", "after a step", "at the end"])
def test_a_watched_run_resumes_to_the_same_end(toy, straight, tmp_path, monkeypatch, place):
    folder, summary = straight
    chosen = toy.config(**WATCHED)
    if place == "at the end":
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        (tmp_path / workdir.SUMMARY).unlink()
    else:
        at = {"in an evaluation": summary["steps"] - 2, "after a step": summary["steps"] - 3}[place]
        name = "evaluate" if place == "in an evaluation" else "log"
        plain = getattr(hooks, name)

        def interrupted(run, step, state, metrics):
            if step == at:
                run.checkpoints.save(step, state)
                raise preemption.Preempted(step)
            return plain(run, step, state, metrics)

        replaced = tuple(interrupted if hook is plain else hook for hook in hooks.AFTER_STEP)
        with monkeypatch.context() as patched:
            patched.setattr(hooks, "AFTER_STEP", replaced)
            with pytest.raises(preemption.Preempted):
                toy.fit(tmp_path, chosen)
    resumed = toy.fit(tmp_path, chosen)
    for name in ("steps", "params_sha256", "ended"):
        assert resumed[name] == summary[name]
    assert toy.lines(tmp_path) == toy.lines(folder)
