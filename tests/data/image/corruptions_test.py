"""Corruptions of images: what each does, by its definition, and what decides."""

import numpy as np
import pytest
from scipy import ndimage

from maskjax import data
from maskjax.data.corruption import SEVERITIES, Corruption
from maskjax.data.image.corruptions import CORRUPTIONS, corrupt

_AMOUNTS = {  # the table of the page, written again
    "gaussian_noise": (0.05, 0.1, 0.15, 0.2, 0.3),
    "blur": (0.02, 0.035, 0.05, 0.07, 0.1),
    "occlusion": (0.05, 0.1, 0.2, 0.3, 0.4),
    "contrast": (0.75, 0.5, 0.35, 0.25, 0.15),
    "salt_and_pepper": (0.02, 0.05, 0.1, 0.15, 0.25),
}


def _corrupt(x, name, severity=3, seed=0, id=7):
    return corrupt(x, Corruption(name, severity, seed), id)


@pytest.fixture
def picture():
    """float64 [100, 80, 2], well within [0, 1]."""
    return np.random.default_rng(3).uniform(0.4, 0.6, (100, 80, 2))


def test_the_table_names_all_there_is():
    assert {name: amounts for name, (_, amounts) in CORRUPTIONS.items()} == _AMOUNTS
    assert all(len(amounts) == len(SEVERITIES) for amounts in _AMOUNTS.values())


def test_noise_has_the_deviation_that_it_says_and_grows_alike(picture):
    weak, strong = (_corrupt(picture, "gaussian_noise", at) - picture for at in (1, 2))
    assert weak.std() == pytest.approx(0.05, rel=0.03)
    assert abs(weak.mean()) < 5 * 0.05 / picture.size**0.5
    np.testing.assert_allclose(strong, 2 * weak, atol=1e-12)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_is_scipys(picture, severity):
    # scipy rounds the radius of 4 deviations in its own way: give it that of the definition.
    std = _AMOUNTS["blur"][severity - 1] * 80
    options = {"sigma": std, "mode": "nearest", "radius": int(np.ceil(4 * std)), "axes": (0, 1)}
    expected = ndimage.gaussian_filter(picture, **options)
    np.testing.assert_allclose(_corrupt(picture, "blur", severity), expected, atol=1e-12)


def test_occlusion_covers_a_box_within_the_image_that_grows_with_severity(picture):
    for at, share in enumerate(_AMOUNTS["occlusion"], 1):
        is_covered = (_corrupt(picture, "occlusion", at) == 0.5).all(-1)
        rows, columns = (np.flatnonzero(is_covered.any(axis)) for axis in (1, 0))
        assert is_covered[np.ix_(rows, columns)].all()
        sides = round(100 * share**0.5), round(80 * share**0.5)
        assert (len(rows), len(columns)) == (np.ptp(rows) + 1, np.ptp(columns) + 1) == sides
        found = _corrupt(picture, "occlusion", at)
        np.testing.assert_array_equal(found[~is_covered], picture[~is_covered])
    starts = {
        int(np.argmax((_corrupt(picture, "occlusion", 5, id=i) == 0.5).any((1, 2))))
        for i in range(200)
    }
    assert min(starts) <= 2
    assert max(starts) >= 100 - round(100 * 0.4**0.5) - 2


def test_contrast_moves_each_channel_towards_its_mean(picture):
    found = _corrupt(picture, "contrast", 5)
    for channel in range(2):
        x = picture[..., channel]
        np.testing.assert_allclose(found[..., channel], x.mean() + 0.15 * (x - x.mean()))


def test_salt_and_pepper_are_as_many_and_a_stronger_one_holds_the_weaker(picture):
    before = np.zeros(picture.shape, bool)
    for at, share in enumerate(_AMOUNTS["salt_and_pepper"], 1):
        found = _corrupt(picture, "salt_and_pepper", at)
        is_salt, is_pepper = found == 1, found == 0
        deviation = (share / 2 * (1 - share / 2) / picture.size) ** 0.5
        assert abs(is_salt.mean() - share / 2) < 5 * deviation
        assert abs(is_pepper.mean() - share / 2) < 5 * deviation
        is_hit = is_salt | is_pepper
        np.testing.assert_array_equal(found[~is_hit], picture[~is_hit])
        assert (is_hit | ~before).all()
        before = is_hit


@pytest.mark.parametrize("name", sorted(_AMOUNTS))
def test_seed_and_id_decide_and_eight_bits_stay_eight_bits(name):
    x = np.random.default_rng(0).integers(0, 256, (12, 10, 1), np.uint8)
    found = _corrupt(x, name)
    assert (found.dtype, found.shape) == (np.uint8, x.shape)
    np.testing.assert_array_equal(found, _corrupt(x, name))
    whole = _corrupt(x / 255, name)
    np.testing.assert_array_equal(found, np.rint(255 * whole))
    assert _corrupt((x / 255).astype(np.float32), name).dtype == np.float32
    if name not in ("blur", "contrast"):  # these draw nothing
        assert (_corrupt(x, name, id=8) != found).any()
        assert (_corrupt(x, name, seed=1) != found).any()


@pytest.mark.parametrize("shape", [(40, 2), (6, 7, 8, 1)])
def test_signals_and_volumes_are_corrupted_too(shape):
    x = np.random.default_rng(1).uniform(0.2, 0.8, shape)
    for name in _AMOUNTS:
        found = _corrupt(x, name, 5)
        assert found.shape == shape
        assert (found != x).any()
        assert found.min() >= 0
        assert found.max() <= 1


def test_a_split_is_corrupted_before_it_is_normalised_and_travels_as_it_did():
    for is_compact in (False, True):
        built = data.build({"source": "digits"}, seed=3, batch_size=8, is_compact=is_compact)
        clean, noisy = (
            list(built.eval_batches("test", 100, 150, which))
            for which in (None, ("salt_and_pepper", 5))
        )
        for a, b in zip(clean, noisy, strict=True):
            assert a["inputs"].dtype == b["inputs"].dtype
            for name in ("id", "label", "is_valid"):
                np.testing.assert_array_equal(a[name], b[name])
            inputs = [np.asarray(built.on_device(batch)["inputs"]) for batch in (a, b)]
            stored = [built.processor.denormalise(x) for x in inputs]
            for id, x, y in zip(a["id"], *stored, strict=True):
                if id >= 0:
                    expected = _corrupt(x, "salt_and_pepper", 5, seed=3, id=int(id))
                    np.testing.assert_allclose(y, expected, atol=2 / 255)
    (same, others) = (next(built.eval_batches("test", 50, 50)) for _ in range(2))
    np.testing.assert_array_equal(same["inputs"], others["inputs"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"source": "digits"}, r"'blurr' \(did you mean 'blur'\?\)"),
        ({"source": "digits", "missing": "16"}, "'blurr': there are none of images .* leave it"),
        ({"source": "histories"}, "'blurr': there are none of histories"),
    ],
)
def test_what_cannot_be_corrupted_so_is_refused(config, message):
    built = data.build(config, seed=0, batch_size=4)
    with pytest.raises(ValueError, match=message):
        built.check_corruptions(("blurr",))
