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
    ((name, example),) = data.processor.read(str(tmp_path / "grey.png"))
    assert name == "grey.png"
    (x,) = data.processor.collate([example])["inputs"]
    assert x.shape == data.shape
    np.testing.assert_allclose(data.processor.denormalise(x), 128 / 255, atol=1e-6)


def test_a_folder_is_read_without_what_is_no_image_which_is_refused_by_name(
    image_folder, load_config, caplog
):
    root = image_folder({"b.png": ("L", (9, 9)), "a/c.png": ("RGB", (8, 12))})
    (root / "a/bad.png").write_bytes(b"no image")
    processor = data_layer.build(load_config("mae", "smoke").data, seed=0, batch_size=1).processor
    read = dict(processor.read(str(root)))
    assert list(read) == ["b.png", "a/c.png"]
    assert {example["inputs"].shape for example in read.values()} == {(8, 8, 1)}
    assert "left out: " in caplog.text
    with pytest.raises(data_layer.UndecodableError, match=r"bad\.png"):
        list(processor.read(str(root / "a/bad.png")))


def test_what_a_run_says_of_its_data_is_enough_to_read_images(load_config, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30), np.uint8)).save(tmp_path / "x.png")
    config = load_config("mae", "smoke").data
    data = data_layer.build(config, seed=0, batch_size=16)
    described = json.loads(json.dumps(data.describe()))  # as config.json keeps it
    alone = data_layer.restore(config, described)
    for name in ("shape", "num_classes", "class_names", "num_train", "num_validation"):
        assert getattr(alone, name) == getattr(data, name)
    first, second = (
        each.processor.collate([each.processor.read_image(tmp_path / "x.png")])["inputs"]
        for each in (alone, data)
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(
        alone.processor.denormalise(first), data.processor.denormalise(first)
    )


def test_own_images_do_not_fit_a_run_on_signals(load_config):
    config = load_config("mae", "signal_smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    with pytest.raises(ValueError, match="images do not fit this data"):
        data.processor.read_image("a.png")


def test_a_folder_of_image_files_and_ones_own_have_missing_numbers(tmp_path):
    x = np.random.default_rng(0).integers(0, 8, (3, 8, 8), np.uint8)
    for index, picture in enumerate(x):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    config = {
        "source": f"folder:{tmp_path}",
        "missing": "0",
        "validation_fraction": 0,
        "test_fraction": 0,
    }
    built = data_layer.build(config, seed=0, batch_size=2)
    np.testing.assert_array_equal(~built.examples("train", 3)["is_known"][..., 0], x == 0)
    np.testing.assert_array_equal(
        np.isnan(built.processor.read_image(tmp_path / "0.png")["inputs"])[..., 0], x[0] == 0
    )


def test_a_number_that_no_image_file_can_hold_is_warned_of_and_leaves_ones_own_whole(
    tmp_path, caplog
):
    (tmp_path / "data").mkdir()
    for index in range(3):
        Image.fromarray(np.full((8, 8), index, np.uint8)).save(tmp_path / f"data/{index}.png")
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / "own.jpg")
    config = {"source": f"folder:{tmp_path}/data", "validation_fraction": 0, "test_fraction": 0}
    data_layer.build(config | {"missing": "2"}, seed=0, batch_size=2)
    assert "no number that was looked at" not in caplog.text
    built = data_layer.build(config | {"missing": "-9999"}, seed=0, batch_size=2)
    assert "no number that was looked at equals data.missing=-9999" in caplog.text
    assert np.isfinite(built.processor.read_image(tmp_path / "own.jpg")["inputs"]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.float32, np.longdouble])
def test_the_range_of_every_dtype_can_be_kept_as_json(tmp_path, dtype):
    x = np.arange(4 * 3 * 3 * 2).reshape(4, 3, 3, 2).astype(dtype)
    np.savez(tmp_path / "x.npz", x=x)
    config = {"source": f"array:{tmp_path}/x.npz", "validation_fraction": 0, "test_fraction": 0}
    built = data_layer.build(config, seed=0, batch_size=4)
    found = json.loads(json.dumps(built.describe()))["value_range"]
    assert found == (None if dtype == np.uint8 else [[0, 1], [70, 71]])


@pytest.mark.parametrize("channels", [1, 2])
def test_own_arrays_are_in_the_units_of_the_run_s(tmp_path, channels):
    x = np.random.default_rng(0).normal(size=(30, 12, channels)).astype(np.float32)
    np.savez(tmp_path / "stored.npz", x=x)
    config = {"source": f"array:{tmp_path / 'stored.npz'}"}
    data = data_layer.build(config, seed=0, batch_size=4)
    alone = data_layer.restore(config, json.loads(json.dumps(data.describe())))
    np.save(tmp_path / "own.npy", x[:3])
    names, examples = zip(*alone.processor.read(str(tmp_path / "own.npy")), strict=True)
    assert names == ("own.npy[0]", "own.npy[1]", "own.npy[2]")
    inputs = alone.processor.collate(examples)["inputs"]
    low, high = x.min((0, 1)), x.max((0, 1))  # of each channel
    unit = alone.processor.denormalise(inputs)
    np.testing.assert_allclose(unit, (x[:3] - low) / (high - low), atol=1e-5)
    np.save(tmp_path / "one.npy", x[0])
    ((_, one),) = alone.processor.read(str(tmp_path / "one.npy"))
    np.testing.assert_array_equal(one["inputs"], examples[0]["inputs"])


def test_own_arrays_that_do_not_fit_are_named(load_config, tmp_path):
    data = data_layer.build(load_config("mae", "signal_smoke").data, seed=0, batch_size=16)
    for array, words in (
        (np.zeros(3), r"float64 of shape \(3,\); give numbers of shape \(256, 2\)"),
        (np.full(data.shape, np.nan), "not finite"),
        (np.full(data.shape, 1e39), "not finite"),
        (np.zeros((100, 3)), "example has shape"),
    ):
        np.save(tmp_path / "own.npy", array)
        with pytest.raises(ValueError, match=words):
            list(data.processor.read(str(tmp_path / "own.npy")))
    grey = data_layer.build(load_config("mae", "smoke").data, seed=0, batch_size=16)
    np.save(tmp_path / "own.npy", np.zeros((6, 8, 8)))  # no image of eight channels
    with pytest.raises(ValueError, match=r"\(6, 8, 8\); give numbers of shape \(8, 8, 1\), or \["):
        list(grey.processor.read(str(tmp_path / "own.npy")))
    (tmp_path / "own.npy").write_bytes(b"no array")
    with pytest.raises(data_layer.UndecodableError, match=r"own\.npy cannot be decoded"):
        list(data.processor.read(str(tmp_path / "own.npy")))
