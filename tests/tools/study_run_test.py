"""Running a study and reporting it, with a training that only writes what a run would."""

import csv
import json
import shutil

import ml_collections
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from maskjax import preemption, workdir
from maskjax.tools import study, study_derived, study_report, study_run
from maskjax.workdir.lines import first_reach

forget = study_run.forget  # as it is before tests replace it
# Accuracies on validation, by setting and seed; those on test are 0.1 lower.
ACCURACY = {"a": (0.5, 0.6, 0.7), "b": (0.6, 0.8, 0.7), "c": (0.9, 0.1, 0.2)}


def _study(seeds=(0, 1, 2)):
    settings = tuple(study.Setting(name, {}, {"name": name}) for name in ACCURACY)
    baselines = {"b": "a", "c": "a"}
    return study.Study("toy", "x.py", {}, settings, seeds, {"accuracy": "max"}, {}, baselines, {})


def _write_metrics(folder, *lines):
    lines = [{name: None if x != x else x for name, x in line.items()} for line in lines]  # NaN
    text = "".join(json.dumps({"step": 5, "seconds": 1.5} | line) + "\n" for line in lines)
    (folder / workdir.METRICS).write_text(text)


@pytest.fixture(autouse=True)
def trained(monkeypatch):
    """Names of the runs that were trained, in order; settings in `trained.broken` fail."""

    class Trained(list):
        broken = ()
        stop_at = None
        num_forgotten = 0

        def forget(self):
            self.num_forgotten += 1

    done = Trained()

    def run_of(self, setting, seed):
        config = ml_collections.ConfigDict({"seed": seed, "name": setting.name})
        return study.StudyRun(setting, seed, f"{setting.name},seed={seed}", config, ("--x",))

    def train(config, folder, config_file):
        found = workdir.read_summary(folder)
        if found is not None:
            return found
        if folder.name == done.stop_at:
            raise preemption.Preempted(3)
        if config.name in done.broken:
            raise ValueError("it\n broke")
        folder.mkdir(parents=True, exist_ok=True)
        accuracy = ACCURACY[config.name][config.seed]
        _write_metrics(
            folder,
            {"split": "train", "accuracy": 0.99, "loss": 9.0},
            {"split": "validation", "accuracy": accuracy, "loss": 1.0, "bound": 0.95},
            {"split": "test", "accuracy": accuracy - 0.1, "loss": 2.0},
        )
        summary = {"steps": 5}
        plain = json.dumps({"config": config.to_dict()})
        (folder / workdir.CONFIG).write_text(plain)
        workdir.write_summary(folder, summary)
        done.append(folder.name)
        return summary

    monkeypatch.setattr(study.Study, "_run", run_of)
    monkeypatch.setattr(study_run, "train", train)
    # Nothing was compiled, and what other tests of this process compiled stays.
    monkeypatch.setattr(study_run, "forget", done.forget)
    return done


def _table(folder):
    with (folder / study_report.TABLE).open() as file:
        return {(row["split"], row["setting"]): row for row in csv.DictReader(file)}


def test_the_table_is_what_numpy_and_scipy_say(tmp_path):
    assert study_run.run(_study(), tmp_path) == {}
    printed = study_report.write(_study(), tmp_path, {})
    rows = _table(tmp_path)
    assert len(rows) == 6
    for (_, name), row in rows.items():
        shift = 0.1 if row["split"] == "test" else 0.0
        assert float(row["mean"]) == pytest.approx(np.mean(ACCURACY[name]) - shift)
        assert float(row["std"]) == pytest.approx(np.std(ACCURACY[name], ddof=1))
        if name != "a":
            expected = stats.ttest_rel(ACCURACY[name], ACCURACY["a"]).confidence_interval()
            assert [float(row["low"]), float(row["high"])] == pytest.approx(list(expected))
    assert rows["validation", "a"]["baseline"] == rows["validation", "a"]["difference"] == ""
    assert "| b | 3 | 0.7 ± 0.1 | +0.1 [-0.148, +0.348] | a | 0.6 ± 0.1 |" in printed
    assert (tmp_path / study_report.MARKDOWN).read_text() == printed
    assert len((tmp_path / study_report.COMMANDS).read_text().splitlines()) == 9
    with Image.open(tmp_path / study_report.PLOT) as picture:
        picture.verify()


def test_the_best_setting_is_of_the_mean_and_the_best_run_by_validation(tmp_path):
    study_run.run(_study(), tmp_path)
    study_report.write(_study(), tmp_path, {})
    best = json.loads((tmp_path / study_report.BEST).read_text())
    assert (best["setting"], best["run"], best["value"]) == ("b", "c,seed=0", 0.9)
    assert best["command"] == f"python launch/train.py --x --workdir={best['workdir']}"
    lower = _study()._replace(metrics={"accuracy": "min"})
    study_report.write(lower, tmp_path, {})
    best = json.loads((tmp_path / study_report.BEST).read_text())
    assert (best["setting"], best["run"]) == ("c", "c,seed=1")


def test_an_axis_may_make_the_columns_and_the_first_one_has_the_best(tmp_path):
    places = {"a": {"data": "few", "rule": "none"}, "b": {"data": "few", "rule": "box"},
              "c": {"data": "all", "rule": "none"}}  # fmt: skip
    settings = tuple(setting._replace(place=places[setting.name]) for setting in _study().settings)
    wide = _study()._replace(settings=settings, columns="data", baselines={"b": "a"})
    wide = wide._replace(metrics={"accuracy": "max", "of_few_alone": "max"})
    study_run.run(wide, tmp_path)  # a metric may be that of a later column
    with pytest.raises(ValueError, match="no finished run has the metric 'of_few_alone'"):
        study_report.write(wide, tmp_path, {})
    wide = wide._replace(metrics={"accuracy": "max"})
    printed = study_report.write(wide, tmp_path, {}).splitlines()
    at = printed.index("| on test | few | all |")  # means and deviations are those of ACCURACY
    assert printed[at + 2 : at + 4] == [
        "| rule=none | 0.5 ± 0.1 | 0.3 ± 0.44 |",
        "| rule=box | 0.6 ± 0.1 |  |",
    ]
    at = printed.index("| difference to the baseline | few | all |")
    assert printed[at + 2 :] == ["| rule=box | +0.1 [-0.148, +0.348] |  |"]
    assert json.loads((tmp_path / study_report.BEST).read_text())["setting"] == "b"
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"comparison-few.png", "comparison-all.png"}


def test_metrics_are_drawn_against_an_axis_and_the_rest_are_levels(tmp_path, monkeypatch):
    drawn = {}
    draw = study_report.ranges_panel
    monkeypatch.setattr(
        study_report, "ranges_panel", lambda *a, **k: drawn.update(args=a, **k) or draw(*a, **k)
    )
    places = {"a": {"x.size": "2", "rule": "r"}, "b": {"x.size": "10", "rule": "r"}, "c": {}}
    settings = tuple(setting._replace(place=places[setting.name]) for setting in _study().settings)
    against = _study()._replace(settings=settings, curves="x.size")
    study_run.run(against, tmp_path)
    study_report.write(against, tmp_path, {})
    lines = {"rule=r": {2.0: list(ACCURACY["a"]), 10.0: list(ACCURACY["b"])}}
    assert drawn["args"] == ({"accuracy": lines},)
    assert drawn["levels"] == {"accuracy": {"c": pytest.approx(np.mean(ACCURACY["c"]))}}
    assert (drawn["along"], drawn["title"]) == ("size", "toy")
    with Image.open(tmp_path / study_report.CURVES) as picture:
        picture.verify()


def test_metrics_are_drawn_against_steps_by_the_lines_of_validation(tmp_path, monkeypatch):
    drawn = []
    draw = study_report.ranges_panel
    monkeypatch.setattr(
        study_report, "ranges_panel", lambda x, **k: drawn.append(x) or draw(x, **k)
    )
    against = _study()._replace(curves="step")
    study_run.run(against, tmp_path)
    for name, of_seeds in ACCURACY.items():
        for seed, accuracy in enumerate(of_seeds):
            lines = [{"step": 2, "accuracy": 0.25}, {"step": 5, "accuracy": accuracy}]
            lines = [{"split": "validation"} | line for line in lines]
            _write_metrics(
                tmp_path / study.RUNS / f"{name},seed={seed}",
                *lines,
                {"split": "test", "step": 5, "accuracy": 0.0},
                {"split": "train", "step": 3, "accuracy": 0.0},
            )
    study_report.write(against, tmp_path, {})
    assert drawn == [
        {"accuracy": {name: {2: [0.25] * 3, 5: list(found)} for name, found in ACCURACY.items()}}
    ]


def test_what_a_run_stores_is_told_beside_what_it_began_with(tmp_path, monkeypatch):
    weights = {"c": {"a": np.arange(16.0)}, "a": {"a": np.arange(16.0)}, "b": {"a": np.ones(16)}}
    monkeypatch.setattr(
        study_derived,
        "_weights",
        lambda path: weights[path.name.partition(",")[0]] if path.is_dir() else None,
    )
    chosen = _study(seeds=(0,))
    path = str(tmp_path / study.RUNS / "c,seed=0")
    started = [study.Setting(name, {}, {study.START: path}) for name in ("a", "b")]
    chosen = chosen._replace(
        settings=tuple(started), baselines={}, starts={"c": study.Start("y.py", {})},
        metrics={"accuracy": "max", "stored_bytes": "min"},
    )  # fmt: skip
    study_run.run(chosen, tmp_path)
    printed = study_report.write(chosen, tmp_path, {})
    assert "| a | 1 | 0 |" in printed
    assert "| b | 1 | 122 |" in printed  # 2 bytes of bits, and 15 of 16 numbers that changed
    kept = {"accuracy": 0.5, "artefact_bytes": 7}
    workdir.write_summary(tmp_path / study.RUNS / "b,seed=0", kept)
    assert "| b | 1 | 7 |" in study_report.write(chosen, tmp_path, {})
    shutil.rmtree(path)
    assert "| a | 0 | missing |" in study_report.write(chosen, tmp_path, {})
    alone = _study(seeds=(0,))._replace(metrics={"stored_bytes": "min"})
    with pytest.raises(
        ValueError, match=r"none has one: give 'init_from\.path', or leave the metric"
    ):
        study_run.run(alone, tmp_path / "alone")


def test_what_stands_beside_a_metric_has_its_column(tmp_path):
    told = _study()._replace(beside={"accuracy": ("bound", "nothing")})
    study_run.run(told, tmp_path)
    printed = study_report.write(told, tmp_path, {})
    assert "| setting | runs | validation | bound | nothing | difference |" in printed
    assert "| a | 3 | 0.6 ± 0.1 | 0.95 |  |  |  | 0.5 ± 0.1 |" in printed


def test_parts_share_the_runs_and_the_last_one_tells_it_all(tmp_path, trained):
    study_run.run(_study(), tmp_path, (2, 2))
    assert len(trained) == 4
    printed = study_report.write(_study(), tmp_path, {})
    assert "Missing are 5 of 9 runs" in printed
    assert "- a,seed=0" in printed
    study_run.run(_study(), tmp_path, (1, 2))
    assert sorted(trained) == sorted(run.name for run in _study().runs())
    assert "Missing" not in study_report.write(_study(), tmp_path, {})


def test_a_stopped_study_goes_on_where_it_was(tmp_path, trained):
    trained.stop_at = "b,seed=1"
    with pytest.raises(preemption.Preempted):
        study_run.run(_study(), tmp_path)
    before = list(trained)
    assert before == ["a,seed=0", "b,seed=0", "c,seed=0", "a,seed=1"]
    trained.stop_at = None
    study_run.run(_study(), tmp_path)
    assert trained[len(before) :] == ["b,seed=1", "c,seed=1", "a,seed=2", "b,seed=2", "c,seed=2"]


def test_a_run_that_fails_is_named_and_the_others_go_on(tmp_path, trained, capsys):
    trained.broken = ("b",)
    failed = study_run.run(_study(seeds=(0,)), tmp_path)
    assert failed == {"b,seed=0": "it broke"}
    assert trained == ["a,seed=0", "c,seed=0"]
    assert trained.num_forgotten == 3
    assert "b,seed=0 failed: it broke" in capsys.readouterr().out
    assert "- b,seed=0: failed, it broke" in study_report.write(
        _study(seeds=(0,)), tmp_path, failed
    )
    error = tmp_path / study.RUNS / "b,seed=0" / study_run.ERROR
    assert "ValueError: it\n broke" in error.read_text()
    with pytest.raises(ValueError, match=r"1 runs failed, .* again .*: b,seed=0 \(it broke\)"):
        study_run.refuse_failures(failed)


def test_a_folder_of_another_study_is_refused_before_anything_is_trained(tmp_path, trained):
    study_run.run(_study(seeds=(0,)), tmp_path)
    config = tmp_path / study.RUNS / "c,seed=0" / workdir.CONFIG
    config.write_text(config.read_text().replace('"c"', '"other"'))
    del trained[:]
    with pytest.raises(ValueError, match=r"belongs to a run of another config: name \('other'"):
        study_run.run(_study(), tmp_path)
    assert not trained


def test_what_runs_start_from_is_trained_once_and_its_failure_is_theirs(tmp_path, trained):
    chosen = _study(seeds=(0,))
    path = str(tmp_path / study.RUNS / "c,seed=0")
    started = [study.Setting(name, {}, {study.START: path}) for name in ("a", "b")]
    chosen = chosen._replace(
        settings=tuple(started), baselines={}, starts={"c": study.Start("y.py", {})}
    )
    trained.broken = ("c",)
    assert study_run.run(chosen, tmp_path) == {f"{name},seed=0": "it broke" for name in "ab"}
    trained.broken = ()
    assert study_run.run(chosen, tmp_path) == {}
    assert trained == ["c,seed=0", "a,seed=0", "b,seed=0"]
    study_report.write(chosen, tmp_path, {})
    commands = (tmp_path / study_report.COMMANDS).read_text().splitlines()
    assert [line.rpartition("/")[2] for line in commands] == trained
    shutil.rmtree(path)  # as large as it may be, finished runs need it no more
    assert study_run.run(chosen, tmp_path) == {}
    assert len(trained) == 3


def test_a_run_as_a_whole_is_compared_with_its_validation(tmp_path):
    workdir.write_summary(tmp_path, {"grad_norm_spikes": 0.25, "steps": 3})
    _write_metrics(tmp_path, {"split": "validation", "loss": 1.0}, {"split": "test", "loss": 2.0})
    run = study_run.measured(tmp_path)
    assert study_run.number(run, "validation", "grad_norm_spikes") == 0.25
    assert study_run.number(run, "test", "grad_norm_spikes") is None


def test_a_metric_that_no_run_has_is_named_with_those_that_there_are(tmp_path):
    other = _study(seeds=(0,))._replace(metrics={"los": "min"})
    for call in (study_run.run, lambda *a: study_report.write(*a, {})):
        with pytest.raises(ValueError, match=r"no finished run has the metric 'los' .* accuracy"):
            call(other, tmp_path)


def test_a_run_without_a_finite_number_is_told_so_and_the_others_go_on(
    tmp_path, trained, monkeypatch, capsys
):
    monkeypatch.setitem(ACCURACY, "a", (float("nan"), 0.6, 0.7))
    of_two = _study(seeds=(0, 1))
    assert study_run.run(of_two, tmp_path) == {}
    assert len(trained) == 6
    assert "a,seed=0: accuracy nan" in capsys.readouterr().out
    text = study_report.write(of_two, tmp_path, {})
    assert "| a | 2 | nan ± nan |" in text
    best = json.loads((tmp_path / study_report.BEST).read_text())
    assert (best["setting"], best["run"], best["value"]) == ("b", "c,seed=0", 0.9)


def test_a_folder_of_a_study_of_another_name_or_base_is_refused(tmp_path, trained):
    study_run.run(_study(seeds=(0,)), tmp_path)
    del trained[:]
    for change in ({"name": "toy:smoke"}, {"base": "elsewhere/y.py"}):
        with pytest.raises(ValueError, match=r"belongs to another study, .*'toy'.* --workdir"):
            study_run.run(_study()._replace(**change), tmp_path)
    assert not trained
    # The same study, from another folder and with more seeds.
    study_run.run(_study(seeds=(0, 1))._replace(base="../x.py"), tmp_path)
    assert len(trained) == 3


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/", "-1/2"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"give i/n with i from 1 to n"):
        study_run.parse_part(text)


@pytest.mark.parametrize("held_out", ["validation", "eval"])  # "eval": before there was a test
def test_a_number_is_of_its_split_and_never_of_the_training(tmp_path, held_out):
    assert study_run.measured(tmp_path) is None
    workdir.write_summary(tmp_path, {"loss": 1.0, "accuracy": 0.9, "validation_loss": 2.0})
    trained = {"split": "train", "loss": 1.0, "accuracy": 0.9, "grad_norm": 3.0}
    _write_metrics(tmp_path, trained)  # nothing was held out
    run = study_run.measured(tmp_path)
    assert study_run.number(run, "validation", "loss") is None
    _write_metrics(
        tmp_path,
        {"split": held_out, "loss": 5.0, "knn": 0.1},
        {"split": held_out, "loss": 2.0, "knn": 0.5, "linear": None},
        trained,
        {"split": "test", "loss": 3.0, "knn": 0.4},
    )
    run = study_run.measured(tmp_path)
    names = ("loss", "knn", "linear", "accuracy", "grad_norm", "seconds")
    of = {split: [study_run.number(run, split, name) for name in names]
          for split in ("validation", "test")}  # fmt: skip
    assert of["validation"][:2] == [2.0, 0.5]
    assert np.isnan(of["validation"][2])  # it was measured, and is not finite
    assert of["validation"][3:] == [None, None, None]
    assert of["test"] == [3.0, 0.4, None, None, None, None]


def test_what_training_alone_measures_is_no_metric_of_a_study(tmp_path):
    other = _study(seeds=(0,))._replace(metrics={"grad_norm": "min"})
    with pytest.raises(ValueError, match=r"'grad_norm' on .*: compare some of accuracy, bound, lo"):
        study_run.run(other, tmp_path)


def test_what_a_run_compiled_is_forgotten(monkeypatch):
    done = []
    monkeypatch.setattr(study_run.jax, "clear_caches", lambda: done.append("programs"))
    monkeypatch.setattr(study_run.gc, "collect", lambda: done.append("objects"))
    forget()
    assert done == ["programs", "objects"]


def test_when_a_run_was_first_as_good_as_a_value_is(tmp_path):
    lines = [
        {"split": split, "step": step, "seconds": 2.0 * step, "accuracy": x}
        for step, split, x in [(1, "train", 0.9), (2, "validation", 0.2), (4, "validation", 0.5),
                               (6, "validation", None), (8, "validation", 0.4)]
    ]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for value, direction, step in ((0.4, "max", 4), (0.2, "max", 2), (0.3, "min", 2)):
        found = first_reach(tmp_path, "accuracy", value, direction)
        assert (found["step"], found["seconds"]) == (step, 2.0 * step)
    assert first_reach(tmp_path, "accuracy", 0.6, "max") is None
