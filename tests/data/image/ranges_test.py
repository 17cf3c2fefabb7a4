"""Value ranges a channel, digits far from zero, and numbers that stand for no data."""

import warnings

import numpy as np
import pytest
from PIL import Image

from maskjax import data
from maskjax.data.image.files import EncodedImage
from maskjax.data.image.ranges import check_missing, measure_range, to_unit
from maskjax.data.image.transforms import Transform


@pytest.fixture
def npz(tmp_path):
    def build(config=None, **arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        config = {"source": f"array:{tmp_path}/data.npz", "test_fraction": 0, **(config or {})}
        return data.build(config, seed=0, batch_size=4)

    return build


def _train(built):
    """All training examples: normalised, and in [0, 1]."""
    batches = list(built.eval_batches("train", 64))
    inputs = np.concatenate([batch["inputs"][batch["is_valid"]] for batch in batches])
    return inputs, built.processor.denormalise(inputs)


def _uniform(*shape):
    return np.random.default_rng(0).random(shape)


SCALES = [(1e5, 1e3), (0, 0.02), (-63, 120), (5e-8, 1e-7)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_channels_of_any_scale_reach_the_model_alike(npz, dtype, caplog):
    x = np.stack([low + span * _uniform(40, 8, 8) for low, span in SCALES], -1).astype(dtype)
    inputs, unit = _train(npz(x=x, config={"validation_fraction": 0}))
    np.testing.assert_allclose(inputs.std((0, 1, 2)), 1, rtol=1e-3)
    np.testing.assert_allclose(inputs.mean((0, 1, 2)), 0, atol=1e-4)
    for channel in range(len(SCALES)):
        stored = x[..., channel].astype(np.float64)
        low, high = stored.min(), stored.max()
        np.testing.assert_allclose(unit[..., channel], (stored - low) / (high - low), atol=1e-5)
    assert "constant" not in caplog.text


def test_small_channels_beside_one_in_the_unit_range_are_not_erased(npz):
    x = _uniform(40, 8, 8, 3) * [1, 1e-7, 0.5] + [0, 0.25, 0]
    inputs, unit = _train(npz(x=x, config={"validation_fraction": 0}))
    assert np.unique(inputs[..., 1]).size > 2000
    np.testing.assert_allclose(inputs.std((0, 1, 2)), 1, rtol=1e-3)
    np.testing.assert_allclose(unit[..., [0, 2]], x[..., [0, 2]], atol=1e-6)


@pytest.mark.parametrize(
    "x",
    [
        5e4 + 0.01 * _uniform(40, 8, 8),
        5.1e6 + _uniform(40, 8, 8),
        1.7e9 + 60 * _uniform(40, 8, 8),
        (2**30 + 10_000 * _uniform(40, 8, 8)).astype(np.int32),
        2**62 + (10_000 * _uniform(40, 8, 8)).astype(np.int64),
        np.uint64(2**63) + (10_000 * _uniform(40, 8, 8)).astype(np.uint64),
    ],
    ids=lambda x: f"{x.dtype}-{x.flat[0]}",
)
def test_digits_far_from_zero_are_kept(npz, x):
    inputs, unit = _train(npz(x=x, config={"validation_fraction": 0}))
    assert np.unique(inputs).size > 0.99 * np.unique(x).size
    offsets = (x - x.min()).astype(np.float64)  # exact: in the stored dtype
    np.testing.assert_allclose(unit[..., 0], offsets / offsets.max(), atol=1e-6)
    expected = (offsets - offsets.mean()) / offsets.std()
    np.testing.assert_allclose(inputs[..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["u2", "i2", "i4", "i8", "u8", "f4", "f8"])
def test_the_order_of_bytes_changes_nothing(npz, dtype):
    big = {"i8": 2**60, "u8": 2**60, "i4": 2**29}.get(dtype, 0)
    x = big + (10_000 * _uniform(8, 5, 5, 2) * [1, 0.01]).astype(dtype)
    built = [npz(x=x.astype(order + dtype), config={"validation_fraction": 0}) for order in "<>"]
    first, second = (each.examples("train", 8)["inputs"] for each in built)
    np.testing.assert_array_equal(first, second)
    assert np.unique(first[..., 1]).size > 60


def test_evaluation_examples_of_another_dtype_share_the_training_range(npz):
    x = (1000 * _uniform(8, 5, 5)).astype(np.int64)
    x.flat[:2] = 0, 1000
    for dtype in (np.uint16, np.int32, np.float64, np.uint64):
        built = npz(x_train=x, x_validation=x.astype(dtype))
        first, second = (built.examples(split, 8)["inputs"] for split in ("train", "validation"))
        np.testing.assert_allclose(first, second, atol=1e-6)
    pixels = (x // 4).astype(np.uint8)
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        built = npz(x_train=pixels / 255, x_validation=(pixels / 255.0 * top).round().astype(dtype))
        first, second = (built.examples(split, 8)["inputs"] for split in ("train", "validation"))
        np.testing.assert_allclose(first, second, atol=1e-4)


def test_the_ends_of_64_bits_do_not_overflow():
    x = np.array([[-(2**63)], [0], [2**63 - 1]], np.int64)
    np.testing.assert_allclose(to_unit(x, measure_range(x))[:, 0], [0, 0.5, 1])
    inner = np.array([[-(2**63), 2**63 - 1]], np.int64).T
    np.testing.assert_allclose(to_unit(inner, (-(2**62), 2**62))[:, 0], [-0.5, 1.5])


def test_a_constant_channel_is_named_and_stays_finite(npz, caplog):
    x = _uniform(40, 8, 8, 3)
    x[..., 1] = 1e20
    built = npz(x=x)
    said = "1 of 3 channels constant in the 36 training examples that were looked at (number 1)"
    assert said in caplog.text
    inputs, _ = _train(built)
    assert np.isfinite(inputs).all()
    np.testing.assert_array_equal(inputs[..., 1], 0)
    caplog.clear()
    npz(x=np.where(_uniform(40, 8, 8) < 1e-3, 60_001, 60_000).astype(np.uint16))
    assert "constant" not in caplog.text  # few numbers differ, by one of 65535 levels


def test_statistics_far_from_zero_are_those_of_a_longer_accumulator(npz):
    x = np.full((40, 8, 8), 65535, np.uint16)
    x[3, 4, 5] = 65534
    unit = x.astype(np.float32) / np.float32(65535)
    built = npz(x=x, config={"validation_fraction": 0})
    np.testing.assert_allclose(
        built.processor.mean.item(), unit.mean(dtype=np.longdouble), rtol=1e-7
    )
    np.testing.assert_allclose(built.processor.std.item(), unit.std(dtype=np.longdouble), rtol=1e-6)


def test_evaluation_numbers_that_overflow_once_scaled_are_refused(npz):
    with pytest.raises(ValueError, match=r"validation examples: .* from 1e\+38 to 1e\+38, where"):
        npz(x_train=1e-30 * _uniform(8, 5, 5), x_validation=np.full((1, 5, 5), 1e38))


def test_numbers_that_are_not_finite_are_counted_and_the_first_is_named(npz):
    x = _uniform(6, 4, 4, 1)
    x[3, 1, 2] = x[5] = np.nan
    with pytest.raises(ValueError, match=r"17 of 96 numbers .* first nan at index \[3, 1, 2, 0\]"):
        npz(x=x)
    npz(x=x, config={"missing": "nan"})


@pytest.mark.parametrize(
    ("value", "dtype"), [(-9999, np.float32), (-9999, np.int16), (65535, np.uint16)]
)
def test_a_common_far_extreme_is_named_and_the_advice_works(npz, caplog, value, dtype):
    x = (300 * _uniform(40, 8, 8, 2)).astype(dtype)
    gone = _uniform(40, 8, 8) < 0.1
    x[gone, 1] = value
    npz(x=x)
    assert "of channel 1 is" in caplog.text
    advice = caplog.text.rpartition("data.missing=")[2].split()[0]
    assert float(advice) == value
    caplog.clear()
    built = npz(x=x, config={"missing": advice, "validation_fraction": 0})
    assert caplog.text == ""
    np.testing.assert_array_equal(~built.examples("train", 40)["is_known"][..., 1], gone)


def test_a_common_far_extreme_of_16_bit_files_is_named(tmp_path, caplog):
    x = (4000 * _uniform(6, 8, 8)).astype(np.uint16)
    x[_uniform(6, 8, 8) < 0.1] = 65535
    for index, picture in enumerate(x):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    config = {"source": f"folder:{tmp_path}", "validation_fraction": 0, "test_fraction": 0}
    data.build(config, seed=0, batch_size=2)
    assert "if it stands for no data, set data.missing=65535" in caplog.text
    caplog.clear()
    data.build(config | {"missing": "65535"}, seed=0, batch_size=2)
    assert caplog.text == ""


def test_ordinary_numbers_are_not_taken_for_no_data(caplog):
    rng = np.random.default_rng(0)
    x = {
        "binary": rng.integers(0, 2, (50, 8, 8, 1)) * 60_000,
        "clipped": rng.normal(size=(50, 8, 8, 1)).clip(-1, 1),
        "rain": np.maximum(rng.normal(size=(50, 8, 8, 1)), 0),
        "one outlier": np.concatenate([rng.random(3199), [1e6]]).reshape(50, 8, 8, 1),
        "pixels": rng.choice(np.uint8([0, 200, 201]), (50, 8, 8, 1)),
    }
    for name, numbers in x.items():
        check_missing(numbers, None, name)
    assert caplog.text == ""


@pytest.mark.parametrize("missing", ["nan", "-9999", "9.96921e+36", -9999.0])
def test_missing_numbers_are_left_out_of_range_and_statistics(npz, missing):
    x = (5e4 + 0.01 * _uniform(30, 6, 4, 2) * [1, 1e6]).astype(np.float32)
    gone = _uniform(30, 6, 4, 2) < 0.3
    built = npz(x=np.where(gone, np.float32(missing), x), config={"missing": missing})
    batch = next(built.eval_batches("train", 30))
    is_gone = ~batch["is_known"]
    assert 0.2 < is_gone.mean() < 0.4
    np.testing.assert_array_equal(batch["inputs"][is_gone], 0)
    np.testing.assert_array_equal(~built.examples("train", 27)["is_known"], is_gone[:27])
    unit = built.processor.denormalise(batch["inputs"])
    for channel in range(2):
        known = batch["is_valid"][:, None, None] & ~is_gone[..., channel]
        numbers = unit[..., channel][known]
        assert (numbers.min(), numbers.max()) == pytest.approx((0, 1), abs=2e-2)
        np.testing.assert_allclose(built.processor.mean[..., channel], numbers.mean(), rtol=1e-4)
        np.testing.assert_allclose(built.processor.std[..., channel], numbers.std(), rtol=1e-4)
    assert next(built.train_batches())["is_known"].shape == (4, 6, 4, 2)


def test_an_integer_of_64_bits_stands_for_no_data_exactly(npz):
    x = np.full((8, 5, 5), 2**62, np.int64) + np.arange(5)
    built = npz(x=x, config={"missing": 2**62 + 1, "validation_fraction": 0})
    is_known = next(built.train_batches())["is_known"]
    np.testing.assert_array_equal(is_known[0, 0, :, 0], [True, False, True, True, True])


def test_a_channel_without_a_number_is_constant(npz, caplog):
    x = _uniform(8, 5, 5, 2)
    x[..., 1] = np.nan
    inputs, _ = _train(npz(x=x, config={"missing": "nan"}))
    assert "1 of 2 channels constant" in caplog.text
    np.testing.assert_array_equal(inputs[..., 1], 0)


def test_a_missing_number_that_cannot_occur_is_refused_and_one_that_does_not_is_named(npz, caplog):
    x = (200 * _uniform(8, 5, 5)).astype(np.uint8)
    for missing in ("-9999", "nan", "0.5", "256"):
        with pytest.raises(ValueError, match=f"data.missing={missing} cannot occur in .* uint8"):
            npz(x=x, config={"missing": missing})
    npz(x=x, config={"missing": "255"})
    assert "no number that was looked at equals data.missing=255" in caplog.text


def test_numbers_too_large_for_float32_can_be_missing(npz):
    x = np.where(_uniform(8, 5, 5) < 0.2, 1e300, _uniform(8, 5, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs, _ = _train(npz(x=x, config={"missing": "1e300"}))
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize("shape", [(12,), (12, 8), (12, 8, 4)])
def test_what_a_missing_number_enters_when_resizing_is_missing(shape):
    x = (6 * _uniform(*shape, 2) - 3).astype(np.float32)
    gone = np.zeros(x.shape, bool)
    gone[(0,) * len(shape)][0] = gone[(5,) * len(shape[:1]) + (3,) * len(shape[1:])][1] = True
    size = tuple(side // 2 for side in shape)
    transform = Transform(size=size, missing=-9999)
    resized = transform(np.where(gone, np.float32(-9999), x))
    whole = transform(x)  # no number is missing
    radius = 2 if len(shape) == 2 else 1  # of the kernel in output entries: bicubic, linear
    is_reached = np.zeros(whole.shape, bool)
    for *place, channel in np.ndindex(whole.shape):
        for *other, which in np.argwhere(gone):
            distances = [abs((o + 0.5) / 2 - (p + 0.5)) for p, o in zip(place, other)]
            is_reached[(*place, channel)] |= which == channel and max(distances) < radius
    np.testing.assert_array_equal(np.isnan(resized), is_reached)
    assert 0 < is_reached.sum() < is_reached.size / 2
    np.testing.assert_allclose(resized[~is_reached], whole[~is_reached], atol=1e-6)


def test_crops_flips_and_channels_carry_what_is_missing():
    x = (200 * _uniform(12, 8, 3)).astype(np.int16)
    x[4, 2, 1] = -1
    flipped = Transform(flip=True, missing=-1)
    rng = np.random.default_rng(0)
    places = {tuple(np.argwhere(np.isnan(flipped(x, rng)))[0]) for _ in range(20)}
    assert places == {(4, 2, 1), (4, 5, 1)}
    grey = Transform(channels=1, missing=-1)(x)
    np.testing.assert_array_equal(np.argwhere(np.isnan(grey)), [[4, 2, 0]])
    centre = Transform(size=(8, 8), missing=-1)(x)  # rows 2 to 9
    np.testing.assert_array_equal(np.argwhere(np.isnan(centre)), [[2, 2, 1]])


@pytest.mark.parametrize(("dtype", "missing"), [(np.uint8, 0), (np.uint16, 0), (np.uint16, 65535)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_stored_numbers_of_image_files_can_be_missing(tmp_path, dtype, missing, suffix):
    top = np.iinfo(dtype).max
    x = (1 + (top - 2) * _uniform(8, 8)).astype(dtype)
    gone = _uniform(8, 8) < 0.2
    x[gone] = missing
    path = f"{tmp_path}/x.{suffix}"
    Image.fromarray(x).save(path)
    shown = Transform(missing=missing)(EncodedImage(path, path))[..., 0]
    np.testing.assert_array_equal(np.isnan(shown), gone)
    np.testing.assert_allclose(shown[~gone], x[~gone] / top, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {}), ("a.tif", {"compression": "jpeg"})])
def test_files_that_change_numbers_have_none_that_stands_for_no_data(tmp_path, name, options):
    image = EncodedImage(name, str(tmp_path / name))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image.content, **options)
    with pytest.raises(ValueError, match=rf"{name}: a file .* store PNG, .* data.missing=''"):
        Transform(missing=0)(image)
    Transform()(image)
