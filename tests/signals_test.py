"""Who is told to stop while the imports are still under way leaves as quietly as later."""

import subprocess
import sys
from pathlib import Path

import pytest

from maskjax import signals

ROOT = Path(__file__).parents[1]
# A package that launchers import early, and in which the signal comes.
STAND_IN = "import os, signal; os.kill(os.getpid(), signal.{})"


@pytest.mark.parametrize(
    ("launcher", "which"),
    [
        ("train", "SIGINT"),
        ("train", "SIGTERM"),
        ("predict", "SIGINT"),
        ("benchmark", "SIGTERM"),
        ("draw_masks", "SIGINT"),
    ],
)
def test_a_signal_during_the_imports_is_one_line(tmp_path, launcher, which):
    (tmp_path / "absl.py").write_text(STAND_IN.format(which))
    done = subprocess.run(
        [sys.executable, str(ROOT / "launch" / f"{launcher}.py")],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == signals.EXIT_CODE
    assert done.stderr == "\ntold to stop: the same command starts from what is saved\n"
    assert done.stdout == ""
