"""The launcher of the sheets: pictures where it says, errors in one line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import wavfile

ROOT = Path(__file__).parents[2]


def _draw(*arguments, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "launch" / "draw_masks.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(os.environ, XLA_FLAGS=os.environ["ONE_DEVICE_XLA_FLAGS"], **environment),
    )


def test_sheets_are_written_where_it_says(tmp_path):
    done = _draw("--out=$PLACE/new", "--sheets=weights,frequency", PLACE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    paths = [tmp_path / "new" / f"{name}.png" for name in ("weights", "frequency")]
    assert done.stdout.splitlines() == list(map(str, paths))
    for path in paths:
        with Image.open(path) as picture:
            assert np.asarray(picture).std() > 10
    assert sorted(os.listdir(tmp_path / "new")) == ["frequency.png", "weights.png"]


def test_what_cannot_be_drawn_is_one_line(tmp_path):
    wavfile.write(tmp_path / "short.wav", 8000, np.zeros(80, np.int16))
    for arguments, message in (
        ([], "--out"),
        ([f"--out={tmp_path}", f"--audio={tmp_path / 'short.wav'}"], "lasts 0.01 s"),
    ):
        done = _draw(*arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not list(tmp_path.glob("*.png"))
