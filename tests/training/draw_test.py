"""Pictures of a run, from its folder alone, and of images of one's own."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from maskjax import data as data_layer
from maskjax import evaluation, masking, tasks
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
    paths = draw.draw_workdir(workdir)
    assert workdir / "figures" / "reconstructions.png" in paths
    assert (workdir / "figures" / "reconstructions.png").read_bytes() == before


def test_own_images_are_fitted_to_the_model_and_drawn(workdir, tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (20, 30, 3)), ("b.jpg", (16, 16, 3))):
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(tmp_path / name)
    paths = draw.draw_workdir(workdir, [tmp_path, tmp_path / "a.png"])
    assert paths[-1] == workdir / "figures" / "own_images.png"
    assert Image.open(paths[-1]).size[1] > 300  # three rows


def test_an_own_image_becomes_an_evaluation_example(load_config, tmp_path):
    config = load_config("mae", "smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(tmp_path / "grey.png")
    x = data.read_image(tmp_path / "grey.png")
    assert x.shape == data.shape
    np.testing.assert_allclose(data.denormalise(x), 128 / 255, atol=1e-6)


def test_what_cannot_be_drawn_is_named(workdir, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        draw.draw_workdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"absent\.png: no such file"):
        draw.draw_workdir(workdir, [tmp_path / "absent.png"])
    with pytest.raises(FileNotFoundError, match="no images"):
        draw.draw_workdir(workdir, [tmp_path])
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"broken\.png cannot be decoded"):
        draw.draw_workdir(workdir, [tmp_path / "broken.png"])


def test_own_images_do_not_fit_a_run_on_signals(load_config):
    config = load_config("mae", "signal_smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    with pytest.raises(ValueError, match="images do not fit this data"):
        data.read_image("a.png")


def test_the_sheet_shows_every_rule_for_images_with_the_runs_count(load_config, monkeypatch):
    config = load_config("mae", "smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    task = tasks.build(config, data)
    shown = {}

    def rule_sheet(image, masks, patch_size):
        shown.update(masks)
        return Figure()

    monkeypatch.setattr(evaluation, "rule_sheet", rule_sheet)
    draw.rules(task, np.full(data.shape, 0.5, np.float32), config)
    assert set(shown) == set(masking.rules_on("image"))
    for name, is_masked in shown.items():
        assert (is_masked.sum((1, 2)) == 12).all(), name
