"""What `build` computes and what it refuses."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from maskjax import data


def _build(batch_size=4, seed=0, build=None, **config):
    return data.build(config, seed=seed, batch_size=batch_size, **(build or {}))


def test_statistics_are_those_of_the_training_pixels():
    built = _build(source="digits", validation_fraction=0, test_fraction=0)
    pixels = load_digits().images / 16
    assert built.shape == (8, 8, 1)
    assert built.processor.mean.shape == built.processor.std.shape == (1, 1, 1)
    np.testing.assert_allclose(built.processor.mean[0, 0], pixels.mean(), rtol=1e-5)
    np.testing.assert_allclose(built.processor.std[0, 0], pixels.std(), rtol=1e-5)
    everything = np.concatenate([b["inputs"] for b in built.eval_batches("train", 1797)])
    assert abs(everything.mean()) < 1e-4
    assert abs(everything.std() - 1) < 1e-4
    np.testing.assert_allclose(built.processor.denormalise(everything)[..., 0], pixels, atol=1e-6)


def test_statistics_are_per_channel_and_constant_channels_stay_finite(tmp_path):
    x = np.zeros((10, 4, 4, 3), np.uint8)
    x[..., 1] = np.arange(4)[:, None] * 80
    x[..., 2] = 255
    np.savez(tmp_path / "x.npz", x=x)
    built = _build(source=f"array:{tmp_path}/x.npz")
    np.testing.assert_allclose(built.processor.mean[0, 0], [0, 120 / 255, 1], atol=1e-6)
    np.testing.assert_allclose(
        built.processor.std[0, 0, 1], np.std([0, 80, 160, 240]) / 255, rtol=1e-5
    )
    assert np.isfinite(next(built.train_batches())["inputs"]).all()


def test_configured_statistics_are_used():
    built = _build(source="photos", size=(8, 8), mean=(0.5,), std=(0.1, 0.2, 0.4))
    np.testing.assert_allclose(built.processor.mean[0, 0], [0.5, 0.5, 0.5])
    raw = _build(source="photos", size=(8, 8), mean=(0,), std=(1,))
    (x,), (unit,) = (list(b.eval_batches("validation", 4, limit=4)) for b in (built, raw))
    expected = (unit["inputs"] - 0.5) / np.array([0.1, 0.2, 0.4])
    np.testing.assert_allclose(x["inputs"], expected, atol=1e-5)


def test_what_lies_beyond_the_training_split_is_not_cut(tmp_path):
    train, test = (a * np.sin(np.arange(64, dtype=np.float32)) for a in (5, 8))
    np.savez(tmp_path / "x.npz", x_train=[train[:, None]] * 4, x_validation=[test[:, None]])
    built = _build(source=f"array:{tmp_path}/x.npz")
    shown = built.processor.denormalise(built.examples("validation", 1)["inputs"])[0, :, 0]
    low, high = train.min(), train.max()
    np.testing.assert_allclose(shown, (test - low) / (high - low), atol=1e-5)
    assert shown.max() > 1.2


def test_held_out_examples_do_not_depend_on_the_seed():
    first, second = (
        next(_build(source="digits", seed=seed).eval_batches("validation", 200))["inputs"]
        for seed in (0, 1)
    )
    np.testing.assert_array_equal(first, second)


def test_grey_and_colour_are_converted():
    known = {"mean": (0,), "std": (1,)}
    assert _build(source="digits", channels=3, **known).shape == (8, 8, 3)
    assert _build(source="photos", channels=1, size=(8, 8), **known).shape == (8, 8, 1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"source": "dgits"}, "'dgits' .did you mean 'digits'"),
        ({"source": "digits:8"}, "'digits:8': nothing follows the name; set it to 'digits'"),
        ({"source": "photos:x", "size": (8, 8)}, "'photos:x': nothing follows the name"),
        ({"source": "digits", "validation_source": "mnist"}, "unknown data source 'mnist'"),
        (
            {"source": "digits", "limit": 3},
            "limit=3 keeps fewer than batch_size=4; lower batch_size or",
        ),
        ({"source": "digits", "size": (8,)}, "1 lengths, but 'digits' has 2 spatial axes"),
        ({"source": "signals", "flip": True}, "for images, but 'signals' has 1 spatial"),
        ({"source": "volumes", "crop_scale": (0.2, 1.0)}, "for images, but 'volumes' has 3"),
        (
            {"source": "digits", "mean": (0.1, 0.2)},
            "data.mean has 2 numbers for 1 channels",
        ),
        ({"source": "volumes", "channels": 3, "size": (4, 4)}, "must have 3 lengths"),
        ({"source": "digits", "validation_source": "photos"}, "set data.size"),
        ({"source": "digits", "flop": True}, "'flop' .did you mean 'flip'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(config, message):
    with pytest.raises(ValueError, match=message) as caught:
        _build(**config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed={seed}"):
        _build(source="digits", seed=seed)


def test_batch_that_the_processes_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="batch size 4 must be a positive multiple of the 3"):
        _build(source="digits", build={"process_count": 3})
    with pytest.raises(ValueError, match="batch size 0"):
        _build(source="digits", batch_size=0)


def test_images_of_ones_own_do_not_fit_more_channels_than_files_have(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((10, 4, 4, 5), np.uint8))
    built = _build(source=f"array:{tmp_path}/x.npz", size=(4, 4))
    with pytest.raises(ValueError, match=r"own.png: images do not fit this data, .* \(4, 4, 5\)"):
        built.processor.read_image("own.png")
