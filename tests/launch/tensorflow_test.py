"""A whole run with TensorFlow within reach, which nothing touches."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_training_never_imports_tensorflow(tmp_path):
    # A TensorFlow that says where it was asked for, so that a guarded import shows as well.
    trap, found = tmp_path / "tensorflow" / "__init__.py", tmp_path / "imported.txt"
    trap.parent.mkdir()
    trap.write_text(
        "import traceback\n"
        f"open({str(found)!r}, 'w').write(''.join(traceback.format_stack()))\n"
        "raise ImportError('not for training')\n"
    )
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "launch" / "train.py"), f"--workdir={tmp_path / 'run'}",
            f"--config={ROOT / 'configs' / 'mae.py'}:smoke", "--config.total_steps=2",
            "--config.eval.max_train_examples=32", "--config.figures.num_examples=1",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=dict(os.environ, XLA_FLAGS="", PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)])),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not found.exists(), found.read_text()
