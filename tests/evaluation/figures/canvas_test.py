import os

import numpy as np
import pytest
from PIL import Image

from maskjax.evaluation import figure_pixels, loss_curve, save_figure


@pytest.fixture
def figure():
    return loss_curve([{"step": step, "split": "train", "loss": 1 / step} for step in (1, 2, 4)])


def test_saved_png_holds_the_rendered_pixels(figure, tmp_path):
    path = tmp_path / "new" / "folder" / "loss.png"
    save_figure(figure, path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image)[..., :3], figure_pixels(figure))
    assert os.listdir(path.parent) == ["loss.png"]
    assert path.stat().st_mode & 0o444 == 0o444


def test_rendering_twice_gives_the_same_file(figure, tmp_path):
    save_figure(figure, tmp_path / "a.png")
    save_figure(figure, str(tmp_path / "b.png"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_failed_save_leaves_the_old_file_whole_and_nothing_else(figure, tmp_path, monkeypatch):
    path = tmp_path / "loss.png"
    path.write_bytes(b"old")

    def fail(file, **_):
        file.write(b"half a picture")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(KeyboardInterrupt):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["loss.png"]


def test_suffix_names_the_format(figure, tmp_path):
    save_figure(figure, tmp_path / "loss.pdf")
    assert (tmp_path / "loss.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match=r"'loss.doc'; use .*'png'"):
        save_figure(figure, tmp_path / "loss.doc")
    assert os.listdir(tmp_path) == ["loss.pdf"]
