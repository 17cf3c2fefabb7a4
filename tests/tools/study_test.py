"""What a study file means: settings, baselines, configs and the commands that make them again."""

import itertools
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags

from maskjax.config import flatten
from maskjax.tools import study, study_search

CONFIGS = Path(__file__).parents[2] / "configs"

CONFIG = """
from ml_collections import ConfigDict

def get_config(variant="default"):
    config = ConfigDict({"seed": 0, "mask": {"rule": "random", "ratio": 0.75}, "size": (2, 2)})
    config.flip = variant == "flipped"
    return config.lock()
"""
SAID = {
    "base": "base.py:flipped",
    "axes": {"mask.ratio": (0.25, 0.5), "rule": {"box": {"mask.rule": "block", "size": (4, 2)}}},
    "settings": {"none": {"mask.ratio": 0.0}},
    "seeds": (0, 1),
    "metrics": {"accuracy": "max"},
}

SPACE = {"rounds": 3, "space": {"mask.ratio": (0.1, 0.9)}}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """`write(**changes)`: the path of a study file that says SAID with these changes."""
    monkeypatch.setattr(study, "check_ranges", lambda config: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def written(**changes):
        said = {key: value for key, value in (SAID | changes).items() if value is not None}
        (tmp_path / "base.py").write_text(CONFIG)
        path = tmp_path / "of_mine.py"
        imports = "import numpy as np\nfrom numpy import array\n"
        path.write_text(f"{imports}def get_study(variant=''):\n    return {said!r}\n")
        return str(path)

    return written


def test_axes_multiply_and_listed_settings_follow_for_every_seed(write):
    loaded = study.load(write())
    names = ["ratio=0.25,rule=box", "ratio=0.5,rule=box", "none"]
    assert [setting.name for setting in loaded.settings] == names
    runs = loaded.runs()
    expected = [f"{name},seed={seed}" for seed, name in itertools.product((0, 1), names)]
    assert [run.name for run in runs] == expected
    config = runs[4].config
    assert (config.seed, config.mask.ratio, config.mask.rule) == (1, 0.5, "block")
    assert config.size == (4, 2)
    assert config.flip  # the base's variant
    assert runs[2].config.mask.rule == "random"


def test_numpys_numbers_and_arrays_say_what_pythons_do(write):
    numbers = {"mask.ratio": np.array([0.25, 0.5]), "size": [np.array([4, 2])]}
    plain = {"mask.ratio": (0.25, 0.5), "size": ((4, 2),)}
    loaded = [study.load(write(axes=axes, seeds=seeds, settings=None)) for axes, seeds in
              ((numbers, np.arange(2)), (plain, (0, 1)))]  # fmt: skip
    assert loaded[0] == loaded[1]
    assert [type(seed) for seed in loaded[0].seeds] == [int, int]
    assert loaded[0].runs() == loaded[1].runs()
    assert study.load(write(seeds=(np.int64(3),))).seeds == (3,)


def test_the_command_of_a_run_makes_its_config_again(write, tmp_path):
    loaded = study.load(write(overrides={"flip": False}))
    for run in loaded.runs():
        words = shlex.split(run.command(tmp_path / "a b"))
        assert words[:2] == ["python", "launch/train.py"]
        assert words[-1] == f"--workdir={tmp_path / 'a b' / 'runs' / run.name}"
        parsed = flags.FlagValues()
        argv = ["train.py", *words[2:-1]]
        given = config_flags.DEFINE_config_file("config", flag_values=parsed, sys_argv=argv)
        parsed(argv)
        assert given.value.to_dict() == run.config.to_dict()


def test_a_baseline_is_one_setting_or_a_place_on_some_axes(write):
    assert study.load(write()).baselines == {}
    one = study.load(write(baseline="none")).baselines
    assert one == {"ratio=0.25,rule=box": "none", "ratio=0.5,rule=box": "none"}
    beside = study.load(write(baseline={"mask.ratio": 0.25})).baselines
    assert beside == {"ratio=0.5,rule=box": "ratio=0.25,rule=box"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "unknown key of a study 'seed' (did you mean 'seeds'?)"),
        ({"seeds": ()}, "a study needs 'seeds'"),
        ({"metrics": {"accuracy": "up"}}, "metric 'accuracy' is 'up': give 'max' or 'min'"),
        ({"beside": {"loss": ("bound",)}}, "unknown metric in beside 'loss'"),
        ({"axes": None, "settings": None}, "needs 'axes' or 'settings'"),
        ({"settings": {"ratio=0.5,rule=box": {}}}, "two settings are named 'ratio=0.5,rule=box'"),
        ({"curves": "mask.ration"}, "axis in curves 'mask.ration' (did you mean 'mask.ratio'?)"),
        ({"curves": "rule"}, "curves is 'rule': give an axis of numbers, or 'step': 'box' is no"),
        ({"curves": 3}, "curves is 3: give an axis of numbers"),
        ({"baseline": "non"}, "unknown baseline 'non' (did you mean 'none'?)"),
        ({"baseline": {"mask.ratio": 0.3}}, "unknown baseline"),
        ({"base": 3}, "base is 3: give the path"),
        ({"seeds": 3}, "seeds is 3: give a tuple of whole numbers"),
        ({"seeds": ("a",)}, "seeds is ('a',): give a tuple of whole numbers"),
        ({"seeds": (1.5,)}, "seeds is (1.5,): give a tuple of whole numbers"),
        ({"seeds": "12"}, "seeds is '12': give a tuple of whole numbers"),
        ({"metrics": ["loss"]}, "metrics is ['loss']: give a dict of names with 'max' or 'min'"),
        ({"overrides": ["a"]}, "overrides is ['a']: give a dict of config keys"),
        ({"overrides": {"seed": 3}}, "overrides {'seed': 3} has the key 'seed': give seeds in"),
        ({"axes": ("a",)}, "axes is ('a',): give a dict"),
        ({"axes": {"mask.ratio": 0.5}}, "axes['mask.ratio'] is 0.5: give a tuple of values"),
        ({"axes": {"mask.ratio": ()}}, "axes['mask.ratio'] is (): give a tuple of values"),
        ({"axes": {"mask.rule": "random"}}, "axes['mask.rule'] is 'random': give a tuple"),
        ({"axes": {"rule": {"box": "block"}}}, "axes['rule']['box'] is 'block': give a dict"),
        ({"axes": {"seed": (0, 1)}}, "axes has the key 'seed': give seeds in 'seeds'"),
        ({"axes": {"a": {"b": {"seed": 1}}}}, "axes['a']['b'] {'seed': 1} has the key 'seed'"),
        ({"settings": ["a"]}, "settings is ['a']: give a dict of names and overrides"),
        ({"settings": {"a": ("x", 1)}}, "settings['a'] is ('x', 1): give a dict of config keys"),
        ({"settings": {3: {}}}, "settings is {3: {}}: give a dict of names and overrides"),
        ({"beside": {"accuracy": "bound"}}, "beside['accuracy'] is 'bound': give a tuple"),
        ({"beside": ("bound",)}, "beside is ('bound',): give a dict"),
        ({"baseline": 3}, "baseline is 3: give the name of a setting"),
        ({"search": 3}, "search is 3: give a dict"),
        ({"search": {"round": 3}}, "unknown key of a search 'round' (did you mean 'rounds'?)"),
        ({"search": {"rounds": 0}}, "rounds=0: it needs 'rounds', a whole number of at least 1"),
        ({"search": {"rounds": 3}}, "search needs 'propose', a function, or a 'space'"),
        ({"search": SPACE | {"propose": 3}}, "search needs 'propose', a function, or a 'space'"),
        ({"search": {"rounds": 3, "propose": 3}}, "search propose is 3: give a function"),
        ({"search": SPACE | {"sampler": "best"}}, "search sampler 'best' is none of"),
        ({"search": SPACE | {"seed": "a"}}, "search seed is 'a': give a whole number"),
        ({"search": SPACE | {"space": 3}}, "search space is 3: give a dict of config keys"),
        ({"search": SPACE | {"space": {"k": 0.5}}}, "space['k'] is 0.5: give the two ends of a"),
        ({"search": SPACE | {"space": {"k": (1, 0)}}}, "space['k'] is (1, 0): give the two ends"),
        ({"search": SPACE | {"space": {"k": []}}}, "space['k'] is []: give the two ends of a"),
        ({"overrides": {"mask.ration": 1}}, "key 'mask.ration' (did you mean 'mask.ratio'?)"),
        ({"overrides": {"flip": "perhaps"}}, "flip='perhaps' does not fit"),
        ({"overrides": {"mask": 1}}, "unknown config key 'mask'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(write, changes, message):
    path = write(**changes)
    with pytest.raises(ValueError) as refused:
        study.load(path).runs()
    assert message in str(refused.value)


def test_a_study_that_is_not_there_or_broken_is_named(tmp_path, write):
    write()
    with pytest.raises(FileNotFoundError, match=r"of_mi\.py does not exist \(did you mean .*mine"):
        study.load(str(tmp_path / "of_mi.py:smoke"))
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    with pytest.raises(ValueError, match=r"broken\.py cannot be loaded: ModuleNotFoundError: No "):
        study.load(str(tmp_path / "broken.py"))


def test_what_runs_start_from_is_in_the_folder_and_comes_before_them(write, tmp_path):
    (tmp_path / "first.py").write_text(
        CONFIG.replace('"seed": 0,', '"seed": 0, "init_from": {"path": ""},')
    )
    starts = {
        "first": {"base": "first.py", "overrides": {"mask.ratio": 0.9}},
        "then": {"base": "first.py", "overrides": {"init_from.path": "{first}"}},
    }
    settings = {"alone": {}, "from": {"init_from.path": "{then}", "mask.ratio": 0.5}}
    path = write(base="first.py", axes=None, settings=settings, starts=starts)
    loaded, folder = study.load(path), tmp_path / "of"
    alone, started = loaded.runs(folder)[2:]
    assert loaded.before(alone, folder) == []
    first, then = loaded.before(started, folder)
    assert [run.name for run in (first, then)] == ["first,seed=1", "then,seed=1"]
    assert (first.config.seed, first.config.mask.ratio, then.config.seed) == (1, 0.9, 1)
    assert then.config.init_from.path == str(folder / "runs" / "first,seed=1")
    assert started.config.init_from.path == str(folder / "runs" / "then,seed=1")
    assert f"--config.init_from.path={folder}/runs/then,seed=1" in started.flags
    for wrong, message in (
        ({"settings": {"a": {"init_from.path": "{frist}"}}}, "'frist' .did you mean 'first'"),
        ({"starts": {"alone": starts["first"]}}, "two settings are named 'alone'"),
        ({"starts": {"first": {}}}, "a dict with 'base' and 'overrides'"),
    ):
        kinds = {"base": "first.py", "axes": None, "settings": settings, "starts": starts}
        with pytest.raises(ValueError, match=message):
            study.load(write(**(kinds | wrong))).runs()


def test_the_examples_of_the_readme_are_studies(tmp_path):
    page = (CONFIGS / "studies" / "README.md").read_text()
    axes, search, computed = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    computed = f"import numpy\n{computed}"
    for name, text in (("axes", axes), ("search", search), ("computed", computed)):
        (tmp_path / f"{name}.py").write_text(text.replace("../mae.py", str(CONFIGS / "mae.py")))
    loaded = study.load(str(tmp_path / "axes.py:smoke"))
    assert len(loaded.runs()) == 12
    assert loaded.runs()[0].name == "rule=random,ratio=0.5,seed=0"
    assert loaded.baselines["rule=block,ratio=0.75"] == "rule=random,ratio=0.75"
    searched = study.load(str(tmp_path / "search.py"))
    propose = searched.search["propose"]
    rounds = [study_search.Round(propose([]), 0.5)]
    assert propose(rounds) == {"mask.ratio": 0.85}


def test_a_run_may_start_from_that_of_a_setting_and_listed_ones_have_places(write, tmp_path):
    (tmp_path / "first.py").write_text(
        CONFIG.replace('"seed": 0,', '"seed": 0, "init_from": {"path": ""},')
    )
    settings = {"one": {}, "two": {"init_from.path": "{one}"}, "other": {"mask.ratio": 0.5}}
    places = {"one": {"stage": 1, "ratio": 0.75}, "other": {"stage": 1, "ratio": 0.5}}
    kinds = {"base": "first.py", "axes": None, "settings": settings, "places": places}
    loaded = study.load(write(**kinds, baseline={"ratio": 0.75}, columns="stage"))
    assert loaded.baselines == {"other": "one"}
    assert loaded.columns == "stage"
    one, two = loaded.runs(tmp_path)[:2]
    assert loaded.before(two, tmp_path) == [one]
    for wrong, message in (
        ({"settings": {"one": {"init_from.path": "{one}"}}, "places": None}, "unknown start 'one'"),
        ({"places": {"tow": {"stage": 1}}}, "setting in places 'tow' .did you mean 'two'"),
        ({"places": {"two": 1}}, "give a dict of settings and their places"),
        ({"columns": "stages"}, "unknown axis in columns 'stages' .did you mean 'stage'"),
    ):
        with pytest.raises(ValueError, match=message):
            study.load(write(**(kinds | wrong))).runs()


def test_every_study_here_is_one_with_a_smoke_variant():
    for path in sorted((CONFIGS / "studies").glob("*.py")):
        for variant in ("", ":smoke"):
            loaded = study.load(f"{path}{variant}")
            assert loaded.search or loaded._replace(seeds=loaded.seeds[:1]).runs()


@pytest.mark.parametrize(
    ("variant", "count"),
    [("clean_full", 40), ("imbalance", 16), ("labels_1_smoke", 4), ("transfer_digits", 39)],
)
def test_interference_compares_one_thing_with_plain_training(variant, count):
    loaded = study.load(f"{CONFIGS}/studies/interference.py:{variant}")._replace(seeds=(0,))
    folder = Path("of")
    runs = {run.setting.name: run for run in loaded.runs(folder)}
    assert len(runs) == count
    question = next(iter(runs)).partition(", ")[0]
    flat = {name: flatten(run.config) for name, run in runs.items()}
    plain, own, pretrained = (
        f"{question}, {row}"
        for row in ("none, scratch", "adaptive 0.5, scratch", "adaptive 0.5, masked pretraining")
    )
    differing = {key for key in flat[own] if flat[own][key] != flat[plain][key]}
    assert differing <= {"mask.rule", "mask.ratio"}
    differing = {key for key in flat[own] if flat[own][key] != flat[pretrained][key]}
    assert differing == {"init_from.path"}
    assert [run.name for run in loaded.before(runs[pretrained], folder)] == ["pretrained,seed=0"]
    assert loaded.baselines[pretrained] == f"{question}, none, masked pretraining"
    if question == "clean" and "transfer" in variant:
        second = runs[own.replace("clean", "transfer")]
        assert loaded.before(second, folder) == [runs[own]]
        alike = flat[plain.replace("clean", "transfer")]
        differing = {key for key in alike if alike[key] != flatten(second.config)[key]}
        assert differing == {"init_from.path"}
