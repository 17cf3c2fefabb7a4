"""The page of this layer: its files are there, and its task trains as it says."""

import importlib
import re
from pathlib import Path

from maskjax import config as shared
from maskjax import keys, tasks
from maskjax.training import loop

FOLDER = Path(tasks.__file__).parent
PAGE = (FOLDER / "README.md").read_text()


def test_every_file_is_listed_and_is_there():
    linked = set(re.findall(r"\]\((\w+\.py)\)", PAGE))
    assert linked == {path.name for path in FOLDER.glob("*.py")} - {"__init__.py"}


def test_every_key_of_masks_is_one():
    table = PAGE[PAGE.index("## What is hidden") :]
    named = set(re.findall(r"`([a-z_.]+)`", "".join(re.findall(r"^\| (`[^|]*) \|", table, re.M))))
    known = {*keys.MASKS, *(name.partition(".")[0] for name in keys.MASKS)}
    assert named <= known


def test_the_task_of_the_page_trains_by_its_name(tmp_path, monkeypatch):
    task, config = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "linear.py").write_text(task)
    (tmp_path / "mine.py").write_text(config)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    chosen = shared.load(tmp_path / "mine.py")
    with chosen.unlocked():
        chosen.update(total_steps=20, num_devices=1, batch_size=64)
        chosen.figures.num_examples = 0
        chosen.data.limit = 200
        chosen.eval.probes = ("knn",)
        chosen.optimizer.warmup_steps = 2
    summary = loop.train(chosen, tmp_path / "run")
    assert summary["steps"] == 20
    assert 0.45 < summary["hidden"] < 0.55
    assert summary["loss"] < 1.0  # of predicting the mean of normalised numbers, about
    assert 0.1 < summary["knn_accuracy"] <= 1
