"""A small run that these tests read and nobody changes, and what is drawn of it."""

import json
import shutil

import pytest
from matplotlib.figure import Figure

from maskjax.evaluation.figures import panels as drawing
from maskjax.tools.export import export
from maskjax.training.loop import train


@pytest.fixture(scope="session")
def smoke_config(load_config):
    """The config of that run."""
    overrides = {"eval.max_train_examples": 64, "figures.num_examples": 2}
    return load_config("mae", "smoke", **overrides)


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory, smoke_config):
    """The folder of a finished run of mae's smoke variant."""
    folder = tmp_path_factory.mktemp("smoke") / "run"
    train(smoke_config, folder)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory, smoke_run, untyped):
    """The folder of an export of that run, as stablehlo."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    with untyped():
        export(smoke_run, folder, format="stablehlo")
    return folder


@pytest.fixture
def moved(smoke_run, tmp_path):
    """The run on a machine that lacks its data; if old, from before runs described these."""

    def move(*, old=False):
        folder = tmp_path / "moved"
        shutil.copytree(smoke_run, folder, ignore=shutil.ignore_patterns("figures"))
        record = json.loads((folder / "config.json").read_text())
        record["config"]["data"]["source"] = f"folder:{tmp_path / 'gone'}"
        if old:
            del record["data"]
        (folder / "config.json").write_text(json.dumps(record))
        return folder

    return move


@pytest.fixture
def drawn(monkeypatch):
    """What is handed to the picture, page by page, instead of drawing it."""
    pages = []

    def panel(original, seen, prediction, pasted, **options):
        pages.append({"original": original, "seen": seen, **options})
        return Figure()

    monkeypatch.setattr(drawing, "reconstruction_panel", panel)
    monkeypatch.setattr(drawing, "rule_sheet", lambda *_: Figure())
    monkeypatch.setattr(drawing, "rule_masks", lambda *_, **__: {})
    return pages
