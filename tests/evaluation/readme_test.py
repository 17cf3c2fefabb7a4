"""The page of this layer: its files are there, and its examples do what it says."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from maskjax.evaluation import probes

FOLDER = Path(probes.__file__).parent
PAGE = (FOLDER / "README.md").read_text()


@pytest.fixture
def examples(monkeypatch):
    """The names that the page's code defines."""
    monkeypatch.setattr(probes, "PROBES", dict(probes.PROBES))
    found = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code, found)
    return found


def test_every_file_is_listed_and_is_there():
    linked = {name.rstrip("/") for name in re.findall(r"\]\((?!\.\.)([\w./]+)\)", PAGE)}
    files = {path.name for path in FOLDER.iterdir() if not path.name.startswith("__")}
    assert linked == files - {"README.md", "checks.py"}


def test_every_probe_is_listed():
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert listed == {*probes.PROBES, *probes.RANKINGS, probes.RAW}


def test_the_metric_divides_its_sums(examples):
    assert examples["Overlap"](3.0, 4.0).numbers("overlap") == {"overlap": 0.75}
    assert math.isnan(examples["Overlap"](0.0, 0.0).numbers("overlap")["overlap"])


def test_the_probe_is_asked_for_by_name(examples):
    labels = np.array([4, 4, 7])
    train = probes.Examples(np.array([[0.0], [2.0], [9.0]], np.float32), labels)
    other = probes.Examples(np.array([[1.0], [6.0], [5.0]], np.float32), labels)
    found = probes.accuracies(probes.learn(probes.chosen(["nearest_mean"]), train, {}), other)
    assert found == {"nearest_mean_accuracy": pytest.approx(1 / 3)}  # means 1 and 9: 4, 7, 4
