"""The study launcher: a study that is told to stop, goes on, and leaves what it promises."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from maskjax import preemption, workdir
from maskjax.tools import startup, study, study_report

ROOT = Path(__file__).parents[2]
STUDY = f"""
def get_study():
    return {{
        "base": {str(ROOT / "configs" / "vectors.py:smoke")!r},
        "overrides": {{"figures.num_examples": 0, "data.size": (4,)}},
        "settings": {{"half": {{}}, "quarter": {{"mask.ratio": 0.25}}}},
        "seeds": (3,),
        "metrics": {{"loss": "min"}},
        "beside": {{"loss": ("best_loss",)}},
        "baseline": "half",
    }}
"""


def _launch(place, *arguments):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "launch" / "study.py"), *arguments],
        cwd=place,
        env=dict(os.environ, XLA_FLAGS=os.environ["ONE_DEVICE_XLA_FLAGS"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(is_there, process):
    while not is_there() and process.poll() is None:
        time.sleep(0.05)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a study that was told to stop in its first run and then went on."""
    place = tmp_path_factory.mktemp("study")
    (place / "mine.py").write_text(STUDY)
    process = _launch(place, "--study=mine.py")
    folder = place / "runs" / "mine-default"
    _wait_for((folder / study.RUNS / "half,seed=3" / workdir.CONFIG).exists, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == preemption.EXIT_CODE, errors
    assert not (folder / study.RUNS / "quarter,seed=3" / workdir.SUMMARY).exists()
    process = _launch(place, "--study=mine.py")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert (folder / study_report.MARKDOWN).read_text() in out
    return folder


def test_it_leaves_a_table_a_picture_the_best_and_the_commands(place):
    with (place / study_report.TABLE).open() as file:
        means = {(row["split"], row["setting"]): float(row["mean"]) for row in csv.DictReader(file)}
    for (split, name), mean in means.items():
        summary = workdir.read_summary(place / study.RUNS / f"{name},seed=3")
        assert mean == summary[f"{split}_loss"]
    with Image.open(place / study_report.PLOT) as picture:
        picture.verify()
    best = json.loads((place / study_report.BEST).read_text())
    assert best["setting"] == min(("half", "quarter"), key=lambda it: means["validation", it])
    commands = (place / study_report.COMMANDS).read_text().splitlines()
    assert best["command"] in commands


def test_a_command_of_a_study_is_the_run_itself(place):
    command = (place / study_report.COMMANDS).read_text().splitlines()[1]
    words = shlex.split(command)
    assert words[:2] == ["python", "launch/train.py"]
    again = subprocess.run(
        [sys.executable, str(ROOT / words[1]), *words[2:]],
        cwd=place.parents[1],
        env=dict(os.environ, XLA_FLAGS=os.environ["ONE_DEVICE_XLA_FLAGS"]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "finished 6 steps" in again.stdout  # looked up: nothing is trained again
    assert "step 1/6" not in again.stdout


def test_a_wrong_call_is_refused_in_one_line(place):
    process = _launch(place.parents[1], "--study=nothing.py")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == startup.USER_ERROR
    (line,) = errors.splitlines()
    assert "error: nothing.py does not exist; known: mine.py" in line
