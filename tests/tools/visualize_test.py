"""Pictures of a run, from its folder alone, and of images of one's own."""

import json
import os
import shutil

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from maskjax import data as data_layer
from maskjax.evaluation.figures import panels as drawing
from maskjax.tools import visualize
from maskjax.training import draw
from maskjax.training.loop import train


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, load_config):
    folder = tmp_path_factory.mktemp("draw") / "run"
    config = load_config(
        "mae", "smoke", **{"eval.max_train_examples": 64, "figures.num_examples": 2}
    )
    train(config, folder)
    return folder


def test_a_run_draws_reconstructions_rules_and_losses(workdir):
    names = {path.name for path in (workdir / "figures").glob("*.png")}
    assert names == {"reconstructions.png", "rules.png", "loss.png"}


def test_a_folder_is_enough_to_draw_a_run_again(workdir):
    before = (workdir / "figures" / "reconstructions.png").read_bytes()
    paths = visualize.draw_run(workdir)
    assert workdir / "figures" / "reconstructions.png" in paths
    assert (workdir / "figures" / "reconstructions.png").read_bytes() == before


@pytest.fixture
def gone(workdir, tmp_path):
    """The run on a machine that lacks its data; if old, from before runs described these."""

    def move(*, old=False):
        folder = tmp_path / "moved"
        shutil.copytree(workdir, folder, ignore=shutil.ignore_patterns("figures"))
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


def _save(path, seed=0, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(path)


def test_a_run_is_drawn_with_its_data_at_another_place(load_config, gone, drawn, tmp_path, caplog):
    folder = gone()
    with pytest.raises(FileNotFoundError, match=r"no such folder.*say where: --data="):
        visualize.draw_run(folder)
    paths = visualize.draw_run(folder, source="digits", out=tmp_path / "out")
    assert {path.name for path in paths} == {"reconstructions.png", "rules.png", "loss.png"}
    assert {path.parent for path in paths} == {tmp_path / "out"}
    digits = data_layer.build(load_config("mae", "smoke").data, seed=0, batch_size=1)
    stored = digits.processor.denormalise(digits.examples("eval", 2)["inputs"])
    np.testing.assert_allclose(drawn[0]["original"], stored, atol=1e-6)
    assert not caplog.text


def test_other_data_are_told_from_the_run_s_and_normalised_as_these(gone, drawn, tmp_path, caplog):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "dark.npz", x=rng.integers(0, 20, (30, 8, 8, 1), np.uint8))
    visualize.draw_run(gone(), source=f"array:{tmp_path / 'dark.npz'}", out=tmp_path / "out")
    assert "holds other data than those of the run" in caplog.text
    assert drawn[0]["original"].max() <= 19.01 / 255
    np.savez(tmp_path / "large.npz", x=np.zeros((30, 16, 16, 1), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(16, 16, 1\), and the run's were .*\(8, 8, 1\)"):
        visualize.draw_run(tmp_path / "moved", source=f"array:{tmp_path / 'large.npz'}")


def test_own_images_need_no_training_data(gone, drawn, tmp_path):
    _save(tmp_path / "a.png", size=(20, 30, 3))
    folder = gone()
    paths = list(visualize.draw_images(folder, [tmp_path / "a.png"]))
    assert paths == [folder / "figures" / "own_images.png"]
    expected = np.asarray(Image.open(tmp_path / "a.png").convert("L"), np.float32) / 255
    assert drawn[0]["original"].mean() == pytest.approx(expected[:, 5:25].mean(), abs=0.01)


def test_a_run_that_does_not_know_its_data_asks_for_them(gone, drawn, tmp_path):
    _save(tmp_path / "a.png")
    folder = gone(old=True)
    with pytest.raises(FileNotFoundError, match="--data="):
        list(visualize.draw_images(folder, [tmp_path / "a.png"]))
    assert list(visualize.draw_images(folder, [tmp_path / "a.png"], source="digits"))


def test_folders_are_searched_as_training_searches_them(workdir, drawn, tmp_path, caplog):
    found = tmp_path / "in"
    for name in ("z.png", "ash/1.jpg", "ash/below/2.png", "like.png/3.webp", ".hidden/4.png"):
        _save(found / name)
    (found / "._z.png").write_bytes(b"what macOS leaves")
    (found / "notes.txt").write_text("no image")
    (found / "broken.png").write_bytes(b"no image either")
    list(visualize.draw_images(workdir, [found, found / "z.png"], out=tmp_path / "out"))
    names = ["z.png", "ash/1.jpg", "ash/below/2.png", "like.png/3.webp", "z.png"]
    assert drawn[0]["labels"] == names
    assert "left out: " in caplog.text
    assert "broken.png cannot be decoded" in caplog.text


def test_many_images_make_pages_that_one_program_computes(
    workdir, drawn, tmp_path, monkeypatch, capsys
):
    for i in range(6):
        _save(tmp_path / "in" / f"{i}.png", seed=i)
    one = list(visualize.draw_images(workdir, [tmp_path / "in"], out=tmp_path / "out"))
    assert [path.name for path in one] == ["own_images.png"]
    programs = set()

    def show(task, *arguments, **options):
        programs.add(task._compiled_reconstruct)
        return draw_page(task, *arguments, **options)

    draw_page = draw.show
    monkeypatch.setattr(draw, "show", show)
    monkeypatch.setattr(visualize, "PAGE", 2)
    paths = list(visualize.draw_images(workdir, [tmp_path / "in"], out=tmp_path / "out", limit=5))
    assert [path.name for path in paths] == [f"own_images-{i}.png" for i in (1, 2, 3)]
    assert sorted(os.listdir(tmp_path / "out")) == [path.name for path in paths]
    assert [len(page["labels"]) for page in drawn] == [6, 2, 2, 1]
    np.testing.assert_allclose(  # what an image is hidden does not depend on the page
        np.concatenate([page["seen"] for page in drawn[1:]]), drawn[0]["seen"][:5], atol=1e-6
    )
    (program,) = programs
    assert program._cache_size() == 1
    assert "the first 5 of 6 images: --limit=6 draws all" in capsys.readouterr().err


def test_what_cannot_be_drawn_is_named(workdir, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file cannot be written .*--out="):
        visualize.draw_run(workdir, out=tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="holds no run"):
        visualize.draw_run(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"absent\.png: no such file"):
        next(visualize.draw_images(workdir, [tmp_path / "absent.png"]))
    with pytest.raises(FileNotFoundError, match="no images"):
        next(visualize.draw_images(workdir, [tmp_path]))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"broken\.png cannot be decoded"):
        next(visualize.draw_images(workdir, [tmp_path / "broken.png"]))
