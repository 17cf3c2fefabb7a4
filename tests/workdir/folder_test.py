"""The folder of a run: refusals that name keys, files that are never half written."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import ml_collections
import pytest

from maskjax import workdir
from maskjax.workdir import folder


def _config(**overrides):
    config = ml_collections.ConfigDict(
        {
            "seed": 1,
            "total_steps": 10,
            "log_every_steps": 5,
            "mask": {"ratio": 0.75, "grid": (4, 4)},
            "data": {"source": "digits", "num_workers": 0},
            "figures": {"num_examples": 4},
            "init_from": {"path": ""},
        }
    )
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in overrides.items()})
    return config


def _data(**changes):
    """What a data set says of itself."""
    known = {"num_train": 60, "num_validation": 18, "num_test": 0, "shape": [32, 32, 3]}
    known |= {"num_classes": 3, "class_names": ["ash", "birch", "cedar"], "mean": [0.5, 0.5, 0.5]}
    return known | {"fingerprints": {"train": "a1", "validation": "b2", "test": None}} | changes


def _claim(config, folder, data=None):
    with workdir.claim(config, folder, data or _data()):
        pass


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A folder with a run that wrote a line; of a fixed revision, for others may commit."""
    monkeypatch.setattr(folder, "git_revision", lambda: "0" * 40)
    _claim(_config(), tmp_path)
    (tmp_path / workdir.METRICS).write_text('{"step": 1, "split": "train"}\n')
    return tmp_path


def test_config_json_says_what_was_run_and_on_what(begun):
    record = json.loads((begun / workdir.CONFIG).read_text())
    assert record["config"]["mask"] == {"ratio": 0.75, "grid": [4, 4]}
    assert record["seeds"] == {"seed": 1}
    assert record["versions"]["jax"] == jax.__version__
    assert {"python", "jaxlib", "flax", "optax"} <= record["versions"].keys()
    assert record["device_kind"] == "cpu"
    assert record["device_count"] == 4


def test_config_json_names_the_config_file_and_a_resume_from_another_place_may_change_it(
    begun, monkeypatch, caplog
):
    for place, given, expected in (("/", "etc/of_mine.py:small", "/etc/of_mine.py:small"),
                                   (begun, "", "/etc/of_mine.py:small"),
                                   (begun, "moved.py", f"{begun}/moved.py")):  # fmt: skip
        monkeypatch.chdir(place)
        with workdir.claim(_config(), begun, _data(), given):
            record = json.loads((begun / workdir.CONFIG).read_text())
        assert record["config_file"] == expected
    assert not caplog.records


def test_git_revision_is_that_of_the_checkout():
    root = Path(workdir.__file__).parents[2]
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    revision = folder.git_revision()
    if done.returncode != 0 or revision is None:
        pytest.skip("not a checkout")
    assert revision.removesuffix("-dirty") == done.stdout.strip()


def test_there_is_no_git_revision_outside_a_checkout_or_without_git(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(folder, "__file__", str(tmp_path / "folder.py"))
        assert folder.git_revision() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert folder.git_revision() is None


def test_a_resume_keeps_the_first_record_and_adds_its_own(begun, monkeypatch, caplog):
    first = json.loads((begun / workdir.CONFIG).read_text())
    _claim(_config(log_every_steps=1), begun)
    assert not caplog.records
    changed = {**first["versions"], "jax": "99.0", "numpy": "98.0"}
    monkeypatch.setattr(folder, "_versions", lambda: changed)
    _claim(_config(log_every_steps=1), begun)
    (warning,) = caplog.messages
    assert f"versions.jax ({first['versions']['jax']} then, 99.0 now), versions.numpy (" in warning
    assert "flax" not in warning
    assert "\n" not in warning
    _claim(_config(log_every_steps=1), begun)  # the same as the last time
    assert len(caplog.records) == 1
    record = json.loads((begun / workdir.CONFIG).read_text())
    resumed = [start["versions"]["jax"] for start in record.pop("resumed")]
    assert resumed == [first["versions"]["jax"], "99.0", "99.0"]
    assert record.pop("config")["log_every_steps"] == 1
    assert record.items() <= first.items()


def test_a_resume_may_change_what_only_rounds_and_is_told(begun, caplog):
    _claim(_config(data={"source": "digits", "num_workers": 0, "compact": True}), begun)
    (warning,) = caplog.messages
    assert "data.compact (False then, True now)" in warning
    _claim(_config(data={"source": "digits", "num_workers": 0, "compact": False}), begun)
    assert "data.compact (True then, False now)" in caplog.messages[1]


def test_a_folder_that_another_config_may_take_forgets_the_first(tmp_path):
    _claim(_config(), tmp_path)
    _claim(_config(seed=2), tmp_path)
    record = json.loads((tmp_path / workdir.CONFIG).read_text())
    assert record["seeds"] == {"seed": 2}
    assert record["resumed"] == []


def test_the_same_config_may_go_on(begun):
    assert workdir.check(_config(), begun) == begun


@pytest.mark.parametrize(
    "free", [{"log_every_steps": 1}, {"data__num_workers": 4}, {"figures__num_examples": 8}]
)
def test_keys_that_do_not_change_the_result_may_change(begun, free):
    workdir.check(_config(**free), begun)


def test_a_refusal_names_every_key_that_differs_with_both_values(begun):
    with pytest.raises(ValueError) as refusal:
        workdir.check(_config(mask__ratio=0.5, total_steps=20, log_every_steps=1), begun)
    message = str(refusal.value)
    assert "mask.ratio (0.75 there, 0.5 here)" in message
    assert "total_steps (10 there, 20 here)" in message
    assert "log_every_steps" not in message
    assert "seed" not in message
    assert "\n" not in message


def test_a_key_that_only_one_config_has_counts_as_different():
    assert workdir.differing_keys({"a": {"b": 1}}, {"a": {}}) == {"a.b": (1, None), "a": (None, {})}
    assert workdir.differing_keys({"a": None}, {}) == {"a": (None, None)}


def test_other_data_is_refused_by_what_differs(begun):
    workdir.check(_config(), begun, _data())
    classes = ["alder", "ash", "birch", "cedar"]
    changes = {"num_train": 70, "num_classes": 4, "class_names": classes}
    with pytest.raises(ValueError) as refusal:
        workdir.check(_config(), begun, _data(**changes))
    message = str(refusal.value)
    assert "on other data: num_train (60 there, 70 here), num_classes (3 there, 4 here)" in message
    assert "'alder'" in message
    assert "fingerprint" not in message
    renamed = {"train": "c3", "validation": "b2", "test": None}
    with pytest.raises(ValueError, match=r"fingerprints \({'train': 'a1'.*'train': 'c3'"):
        _claim(_config(), begun, _data(fingerprints=renamed))


def test_a_run_from_before_there_was_a_test_goes_on_with_its_own_splits(begun):
    record = json.loads((begun / workdir.CONFIG).read_text())
    record["config"]["data"] = {"source": "x", "eval_source": "", "eval_fraction": 0.2}
    record["data"] = _data(num_eval=18, fingerprints={"train": "a1", "eval": "b2"})
    del record["data"]["num_validation"], record["data"]["num_test"]
    (begun / workdir.CONFIG).write_text(json.dumps(record))
    now = {"source": "x", "validation_source": "", "test_source": "", "validation_fraction": 0.1}
    with pytest.raises(ValueError, match=r"data.test_fraction \(0.0 there, 0.1 here\), data.valid"):
        workdir.check(_config(data=now | {"test_fraction": 0.1}), begun)
    same = _config(data=now | {"validation_fraction": 0.2, "test_fraction": 0.0})
    workdir.check(same, begun, _data())
    assert not workdir.names_other_places(same, begun)
    with pytest.raises(ValueError, match=r"other data: num_train \(60 there, 54 here\), num_test"):
        workdir.check(same, begun, _data(num_train=54, num_test=10))


def test_a_refusal_advises_to_start_from_a_run_only_where_that_has_saved_a_state(begun):
    (begun / workdir.CHECKPOINTS / "5.orbax-checkpoint-tmp").mkdir(parents=True)  # half written
    with pytest.raises(ValueError, match=r"; other settings or data need another --workdir$"):
        workdir.check(_config(seed=9), begun)
    folder = begun.rename(begun.with_name("my runs"))
    (folder / workdir.CHECKPOINTS / "5").mkdir()
    for config, data in ((_config(seed=9), None), (_config(), _data(num_train=70))):
        with pytest.raises(ValueError) as refusal:
            workdir.check(config, folder, data)
        (advice,) = (word for word in shlex.split(str(refusal.value)) if ".path=" in word)
        assert advice == f"--config.init_from.path={folder}"


def test_of_long_lists_only_what_one_side_lacks_is_named():
    old = [f"class{number}" for number in range(1000)]
    message = folder._pairs({"class_names": (old, [*old[1:], "other"])})
    assert message == "class_names (['class0'] only there, ['other'] only here)"


def test_the_same_data_may_lie_elsewhere(begun):
    elsewhere = _config(data__source="array:elsewhere.npz")
    assert workdir.names_other_places(elsewhere, begun)
    assert not workdir.names_other_places(_config(), begun)
    assert workdir.check(elsewhere, begun, _data()) == begun


def test_a_run_from_before_data_was_described_goes_on_at_its_place(begun):
    path = begun / workdir.CONFIG
    record = json.loads(path.read_text())
    del record["data"]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"data.source \('digits' there, 'photos' here\)"):
        workdir.check(_config(data__source="photos"), begun, _data())
    later = _config()
    later.init_from = {"path": "", "what": "params"}
    _claim(later, begun)
    assert json.loads(path.read_text())["data"] == _data()


def test_a_folder_without_results_is_free_for_another_config(tmp_path):
    _claim(_config(), tmp_path)
    workdir.check(_config(seed=2), tmp_path)
    workdir.check(_config(), tmp_path / "not there yet")


HOLD = """
import pathlib, sys
from maskjax import workdir

with workdir.claim({"seed": 1}, pathlib.Path(sys.argv[1]), {}):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_one_run_s_until_its_process_ends_even_by_kill(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    held = (tmp_path / workdir.CONFIG).read_bytes()
    with pytest.raises(ValueError, match="is in use by another run: wait for its end, or choose"):
        _claim(_config(), tmp_path)
    assert (tmp_path / workdir.CONFIG).read_bytes() == held
    holder.kill()
    holder.communicate()
    _claim(_config(), tmp_path)


def test_results_that_came_after_the_check_are_seen(begun):
    with pytest.raises(ValueError, match=r"another config: seed \(1 there, 2 here\)"):
        _claim(_config(seed=2), begun)


def test_a_config_json_of_something_else_is_left_alone(tmp_path):
    other = tmp_path / workdir.CONFIG
    for content in ('{"model_type": "bert"}', "7", "no json"):
        other.write_text(content)
        with pytest.raises(ValueError, match=r"config\.json is not maskjax's: choose another"):
            workdir.check(_config(), tmp_path)
        assert other.read_text() == content


def test_a_file_or_an_unreadable_config_is_refused(begun):
    with pytest.raises(ValueError, match="is a file"):
        workdir.check(_config(), begun / workdir.METRICS)
    (begun / workdir.CONFIG).write_text("{")
    with pytest.raises(ValueError, match=r"config\.json cannot be read"):
        workdir.check(_config(), begun)


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "x.json"
    folder.write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        folder.write_atomically(path, "half \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_may_be_moved_along_with_what_it_began_from(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    _claim(_config(init_from__path=str(old / "runs" / "begun")), old / "runs" / "tuned")
    (old / "runs" / "tuned" / workdir.METRICS).write_text('{"step": 1, "split": "train"}\n')
    old.rename(new)
    place = new / "runs" / "tuned"
    assert workdir.check(_config(init_from__path=str(new / "runs" / "begun")), place) == place
    for other in (new / "runs" / "another", new / "begun", ""):
        with pytest.raises(ValueError, match=r"another config: init_from\.path"):
            workdir.check(_config(init_from__path=str(other)), place)
