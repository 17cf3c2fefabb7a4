"""The launcher: two commands that work, and errors in one line that say what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from ml_collections.config_flags import config_flags
from PIL import Image

from maskjax import preemption, workdir
from maskjax.tools import report, startup

ROOT = Path(__file__).parents[2]
SMOKE = f"--config={ROOT / 'configs' / 'mae.py'}:smoke"
CONFIG = """
from ml_collections import ConfigDict

def get_config(variant="default"):
    if variant not in ("default", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: known are default, smoke")
    return ConfigDict({"batch_size": 8, "mask": {"ratio": 0.5}, "optimizer": {"base_lr": 0.1}})
"""


def _launch(name, *arguments, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "launch" / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(os.environ, XLA_FLAGS=os.environ["ONE_DEVICE_XLA_FLAGS"], **environment),
    )


def _train(*arguments, **environment):
    return _launch("train", *arguments, **environment)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The smoke run of the main config: its folder and what it printed."""
    place = tmp_path_factory.mktemp("smoke")
    folder = place / "run"
    # A TensorFlow that could be imported, and a note of all that was.
    (place / "tensorflow.py").write_text("")
    (place / "sitecustomize.py").write_text(
        "import atexit, pathlib, sys\n"
        f"note = pathlib.Path({str(place / 'modules')!r})\n"
        "atexit.register(lambda: note.write_text(' '.join(sys.modules)))\n"
    )
    arguments = (SMOKE, f"--workdir={folder}", "--config.figures.num_examples=0")
    done = _train(*arguments, PYTHONPATH=os.pathsep.join([str(place), str(ROOT)]))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_main_config_trains_evaluates_and_saves(smoke):
    folder, printed = smoke
    summary = workdir.read_summary(folder)
    assert summary["steps"] == 6
    assert (folder / workdir.CHECKPOINTS / "6").is_dir()
    assert {"knn_accuracy", "linear_accuracy_pixels"} <= summary.keys()
    assert "run: 29,588 parameters (decoder 3,924, encoder 25,664)" in printed
    assert f"files go to {folder}" in printed
    assert "step 6/6" in printed
    assert report.report(summary, folder) in printed


def test_a_whole_run_imports_no_tensorflow(smoke):
    imported = (smoke[0].parent / "modules").read_text().split()
    assert {"jax", "grain", "maskjax.training.evaluate"} <= set(imported)
    assert "tensorflow" not in imported


def test_a_finished_run_prints_its_result_again(smoke):
    folder, _ = smoke
    before = (folder / workdir.METRICS).read_bytes()
    again = _train(SMOKE, f"--workdir={folder}", "--config.figures.num_examples=0")
    assert again.returncode == 0
    assert again.stdout.strip() == report.report(workdir.read_summary(folder), folder)
    assert (folder / workdir.METRICS).read_bytes() == before


def test_a_dry_run_says_what_would_be_done_and_leaves_no_folder(tmp_path):
    done = _train(SMOKE, f"--workdir={tmp_path / 'runs' / 'dry'}", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "29,588 parameters" in done.stdout
    assert "memory of a step on each device" in done.stdout
    assert not list(tmp_path.iterdir())


def test_images_of_ones_own_are_drawn(smoke, tmp_path):
    folder, _ = smoke
    image = tmp_path / "$1, own.png"  # taken whole, as it is there
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(image)
    drawn = _launch("predict", f"--workdir={folder}", f"--input={image}")
    assert drawn.returncode == 0, drawn.stderr
    own = folder / workdir.FIGURES / "own_reconstructions.png"
    assert drawn.stdout.splitlines() == [str(own)]
    for path in drawn.stdout.splitlines():
        with Image.open(path) as picture:
            picture.verify()


def test_the_benchmark_prints_a_row_for_each_batch_size():
    shallow = [f"--config.model.{part}.depth=1" for part in ("encoder", "decoder")]
    timed = _launch("benchmark", SMOKE, "--batch_sizes=4,8", "--repeats=1", *shallow)
    assert timed.returncode == 0, timed.stderr
    rows = [line.split() for line in timed.stdout.splitlines()]
    assert [row[0] for row in rows[-2:]] == ["4", "8"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.total_steps=abc", "total_steps"),
        ("--config.mask.ratio=much", "ratio"),
        ("--config.model.remat=perhaps", "remat"),
        ("--config.total_steps", "total_steps"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(monkeypatch, capsys, override, message):
    values = flags.FlagValues()  # as a launcher defines them
    config_flags.DEFINE_config_file("config", flag_values=values)
    monkeypatch.setattr(startup.flags, "FLAGS", values)
    with pytest.raises(SystemExit) as refused:
        startup._parse(["train.py", SMOKE, override])
    assert refused.value.code == startup.USER_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_folder_of_another_config_is_refused_in_one_line(smoke):
    folder, _ = smoke
    refused = _train(SMOKE, f"--workdir={folder}", "--config.mask.ratio=0.5")
    assert refused.returncode == startup.USER_ERROR
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")
    assert "mask.ratio (0.75 there, 0.5 here)" in line


@pytest.fixture
def config_file(tmp_path):
    """A config file of few keys."""
    path = tmp_path / "small.py"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config={}", "--config.batch_sizes=4"], "'batch_sizes': did you mean 'batch_size'?"),
        (["--config={}", "--config.ratio=1"], "'ratio': did you mean 'mask.ratio'?"),
        (
            ["--config={}", "--config.optimizer.learning_rate", "1"],
            "'optimizer.learning_rate': did you mean 'optimizer.base_lr'?",
        ),
        (["--config={}", "--config.mask={}"], "'mask' is a section: set its keys one by one"),
        (["--config={}:nope"], "unknown variant 'nope': known are default, smoke"),
        (["--config", "{}.txt"], "does not exist (did you mean "),
        ([], "give a config"),
        (["--config"], "give a config"),
    ],
)
def test_a_wrong_config_is_named_with_what_is_near(config_file, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        startup.check_config(["train.py", *(word.format(config_file) for word in arguments)])
    assert stopped.value.code == startup.USER_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_known_keys_pass(config_file):
    words = [f"--config={config_file}:smoke", "--config.mask.ratio=0.1", "--workdir=x"]
    startup.check_config(["train.py", *words])


def _raise(error):
    raise error


def test_a_stopped_run_has_an_exit_code_of_its_own(capsys):
    with pytest.raises(SystemExit) as stopped:
        startup.guard(lambda: _raise(preemption.Preempted(7)))
    assert stopped.value.code == preemption.EXIT_CODE == 75
    assert "step 7" in capsys.readouterr().out


def test_what_an_error_has_in_its_notes_is_said_too(capsys):
    error = MemoryError("too much")
    error.add_note("-----\nFor simplicity, frames are left out.")
    error.add_note("step 7 is saved")
    with pytest.raises(SystemExit):
        startup.guard(lambda: _raise(error))
    assert capsys.readouterr().err.endswith("model.remat=True; step 7 is saved\n")


def test_an_error_of_this_package_is_a_line_and_a_bug_keeps_its_traceback(tmp_path, capsys):
    file = tmp_path / "a file"
    file.write_text("")
    with pytest.raises(SystemExit) as stopped:
        startup.guard(lambda: workdir.check({}, file))
    assert stopped.value.code == startup.USER_ERROR
    assert capsys.readouterr().err == f"error: workdir {file} is a file: choose another --workdir\n"
    with pytest.raises(json.JSONDecodeError):
        startup.guard(lambda: json.loads("{"))


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("configs/mae.py", "runs/mae-default"),
        ("configs/mae.py:imagenet_vit_b16", "runs/mae-imagenet_vit_b16"),
        ("/elsewhere/simmim.py:smoke", "runs/simmim-smoke"),
    ],
)
def test_the_folder_is_named_after_config_and_variant(path, folder):
    assert startup.default_workdir(path) == folder


def test_the_launcher_stays_small():
    assert len((ROOT / "launch" / "train.py").read_text().splitlines()) < 80
