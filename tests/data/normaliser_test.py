"""Images of one's own, read as examples, with the data and without."""

import json

import numpy as np
import pytest
from PIL import Image

from maskjax import data as data_layer


def test_an_own_image_becomes_an_evaluation_example(load_config, tmp_path):
    config = load_config("mae", "smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(tmp_path / "grey.png")
    x = data.read_image(tmp_path / "grey.png")
    assert x.shape == data.shape
    np.testing.assert_allclose(data.denormalise(x), 128 / 255, atol=1e-6)


def test_what_a_run_says_of_its_data_is_enough_to_read_images(load_config, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30), np.uint8)).save(tmp_path / "x.png")
    data = data_layer.build(load_config("mae", "smoke").data, seed=0, batch_size=16)
    described = json.loads(json.dumps(data.describe()))  # as config.json keeps it
    alone = data_layer.Normaliser.from_description(described)
    assert alone.shape == data.shape
    x = alone.read_image(tmp_path / "x.png")
    np.testing.assert_array_equal(x, data.read_image(tmp_path / "x.png"))
    np.testing.assert_array_equal(alone.denormalise(x), data.denormalise(x))


def test_own_images_do_not_fit_a_run_on_signals(load_config):
    config = load_config("mae", "signal_smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    with pytest.raises(ValueError, match="images do not fit this data"):
        data.read_image("a.png")
