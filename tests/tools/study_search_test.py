"""Searching settings round by round, with a training whose outcome is a formula."""

import json

import ml_collections
import numpy as np
import pytest

from maskjax import preemption, workdir
from maskjax.tools import study, study_file, study_report, study_run, study_search

IS_POSITIVE = np.array([True, False, True, False])  # apple, banana, orange, mango


def _adjusted(history):
    """The published outer loop: a positive token's m rises by 0.1, a negative one's falls."""
    if not history:
        return {"m": tuple(np.random.default_rng(0).uniform(size=4).tolist())}
    m = np.array(history[-1].overrides["m"]) + np.where(IS_POSITIVE, 0.1, -0.1)
    return {"m": tuple(m.clip(0, 1).tolist())}


def _study(**search):
    return study.Study("toy", "x.py", {}, (), (0, 1), {"accuracy": "max"}, {}, {}, search)


@pytest.fixture(autouse=True)
def trained(monkeypatch):
    """Names of the runs that were trained; accuracy is 1 - (x - 0.3)^2, or the mean of m."""

    class Trained(list):
        stop_at = None
        breaks = None

    done = Trained()

    def run_of(self, setting, seed):
        config = ml_collections.ConfigDict({"seed": seed, **setting.overrides})
        return study.StudyRun(
            setting, seed, f"{setting.name.partition(',')[0]},seed={seed}", config, ()
        )

    def train(config, folder, config_file):
        if workdir.read_summary(folder) is None:
            if folder.name == done.stop_at:
                raise preemption.Preempted(3)
            if folder.name == done.breaks:
                raise ValueError("broken")
            folder.mkdir(parents=True)
            (folder / workdir.CONFIG).write_text(json.dumps({"config": config.to_dict()}))
            value = np.mean(config.m) if "m" in config else 1 - (config.x - 0.3) ** 2
            line = {"step": 5, "split": "validation", "accuracy": float(value)}
            (folder / workdir.METRICS).write_text(json.dumps(line) + "\n")
            workdir.write_summary(folder, {})
            done.append(folder.name)
        return workdir.read_summary(folder)

    monkeypatch.setattr(study.Study, "_run", run_of)
    monkeypatch.setattr(study_run, "train", train)
    monkeypatch.setattr(study_run, "forget", lambda: None)  # nothing was compiled
    return done


def test_ten_rounds_of_the_published_adjustment_end_at_one_and_zero(tmp_path):
    found, failed = study_search.search(_study(rounds=11, propose=_adjusted), tmp_path)
    assert not failed
    assert [setting.name[:9] for setting in found.settings[:2]] == ["round=00,", "round=01,"]
    assert found.settings[-1].overrides == {"m": (1.0, 0.0, 1.0, 0.0)}
    study_report.write(found, tmp_path, {})
    best = json.loads((tmp_path / study_report.BEST).read_text())
    means = [np.mean(setting.overrides["m"]) for setting in found.settings]
    assert best["setting"] == found.settings[np.argmax(means)].name
    assert best["mean"] == pytest.approx(max(means))


def test_a_stopped_search_goes_on_as_if_it_had_not_been(tmp_path, trained):
    whole, _ = study_search.search(_study(rounds=4, propose=_adjusted), tmp_path / "whole")
    del trained[:]
    trained.stop_at = "round=2,seed=1"
    with pytest.raises(preemption.Preempted):
        study_search.search(_study(rounds=4, propose=_adjusted), tmp_path / "stopped")
    trained.stop_at = None
    found, _ = study_search.search(_study(rounds=4, propose=_adjusted), tmp_path / "stopped")
    assert found.settings == whole.settings
    assert trained == [f"round={i},seed={seed}" for i in range(4) for seed in (0, 1)]


def test_a_round_that_fails_ends_the_search_and_none_ends_it_well(tmp_path, trained):
    trained.breaks = "round=1,seed=0"
    found, failed = study_search.search(_study(rounds=4, propose=_adjusted), tmp_path / "a")
    assert failed == {"round=1,seed=0": "broken"}
    assert len(found.settings) == 2
    trained.breaks = None
    short = _study(rounds=4, propose=lambda history: None if len(history) == 2 else {"x": 0.5})
    found, failed = study_search.search(short, tmp_path / "b")
    assert (len(found.settings), failed) == (2, {})


@pytest.mark.parametrize("sampler", study_file.SAMPLERS)
def test_a_space_is_searched_within_its_bounds_the_same_way_each_time(tmp_path, sampler):
    if sampler == "optuna":
        pytest.importorskip("optuna")
    space = {"x": (-1.0, 1.0), "n": (1, 2), "rule": ["block", "random"]}
    said = _study(rounds=6, space=space, sampler=sampler, seed=5)
    found, _ = study_search.search(said, tmp_path / "a")
    again, _ = study_search.search(said, tmp_path / "b")
    assert found.settings == again.settings
    tried = [setting.overrides for setting in found.settings]
    assert len({each["x"] for each in tried}) == 6
    assert all(-1 <= each["x"] <= 1 for each in tried)
    assert {each["n"] for each in tried} == {1, 2}
    assert {each["rule"] for each in tried} == {"block", "random"}


@pytest.mark.parametrize("proposed", [3, {3: 0.5}, {"seed": 3}])
def test_what_is_no_proposal_is_refused(tmp_path, proposed):
    told = r"what round 0 proposes .*(give a dict of config keys|give seeds in 'seeds')"
    with pytest.raises(ValueError, match=told):
        study_search.search(_study(rounds=3, propose=lambda rounds: proposed), tmp_path)


def test_a_search_is_not_split():
    study_search.refuse_part("")
    with pytest.raises(ValueError, match="--part=1/2: the rounds of a search need each other"):
        study_search.refuse_part("1/2")
