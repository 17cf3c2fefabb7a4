"""`array:FILE.npz` of any rank and dtype, and its errors."""

import numpy as np
import pytest

from maskjax import data


@pytest.fixture
def npz(tmp_path):
    def build(batch_size=2, config=None, **arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        config = {"source": f"array:{path}", "test_fraction": 0, **(config or {})}
        return data.build(config, seed=0, batch_size=batch_size)

    return build


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [((6, 9), (), (9, 1)), ((6, 9, 2), (), (9, 2)), ((6, 5, 5), (), (5, 5, 1)),
     ((6, 5, 7), (5, 7), (5, 7, 1)), ((6, 5, 7), (5,), (5, 7)),
     ((6, 3, 5, 7), (3, 5, 7), (3, 5, 7, 1)), ((6, 3, 5, 7, 2), (), (3, 5, 7, 2))],
)  # fmt: skip
def test_any_rank(npz, shape, size, expected):
    config = {"validation_fraction": 0.5, "size": size}
    built = npz(x=np.random.default_rng(0).random(shape), config=config)
    assert built.shape == expected
    assert built.num_classes is None
    assert (built.num_train, built.num_validation) == (3, 3)
    batch = next(built.train_batches())
    assert batch["inputs"].shape == (2, *expected)
    assert "label" not in batch


def test_floats_of_any_range_come_back_between_0_and_1(npz):
    x = np.array([[-3.0, 5.0], [1.0, 1.0]])[:, :, None]
    built = npz(x_train=x, x_validation=x)
    batch = next(built.eval_batches("train", 2))
    np.testing.assert_allclose(built.processor.denormalise(batch["inputs"]), (x + 3) / 8, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535), (np.bool_, 1), (np.float32, 1)]
)
def test_dtypes_scale_by_their_own_range(npz, dtype, largest):
    x = np.array([[0, 1], [1, 0]], dtype)[:, :, None]
    built = npz(x_train=x, x_validation=x, config={"mean": (0,), "std": (1,)})
    batch = next(built.eval_batches("validation", 2))
    np.testing.assert_allclose(batch["inputs"], x.astype(np.float32) / largest, rtol=1e-6)


def test_column_of_labels_and_whole_floats_are_labels(npz):
    x = np.zeros((4, 3, 3), np.uint8)
    built = npz(x_train=x, y_train=np.array([[0.0], [1.0], [2.0], [1.0]]), x_validation=x)
    assert built.num_classes == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros((4, 3, 3))}, r"has keys \['X'\]; it must have x"),
        ({"x": np.zeros((4, 3, 3)), "y_validation": np.zeros(4)}, "it must have x"),
        ({"x_train": np.zeros((4, 3, 3)), "y_validation": np.zeros(4)}, "it must have x"),
        ({"x": np.zeros((4, 3, 3)), "y": np.zeros(3, int)}, r"shape \(3,\) for 4 examples"),
        ({"x": np.zeros((2, 3, 3)), "y": np.array([0, -1])}, "holds -1"),
        ({"x": np.zeros((2, 3, 3)), "y": np.array([0, 10**9])}, "holds 1000000000; number the"),
        ({"x": np.zeros((2, 3, 3)), "y": np.array([0, 0.5])}, "0.5 at index 1, and 1 in all"),
        (
            {"x": np.zeros((3, 3, 3)), "y": np.array([0, np.nan, np.nan])},
            "nan at index 1, and 2",
        ),
        (
            {"x": np.zeros((2, 3, 3)), "y": np.array(["a", ""])},
            "an empty word at index 1; leave",
        ),
        ({"x": np.zeros((3, 3, 3)), "y": np.array([0, -1, 1])}, "leave the labels out where no ex"),
        ({"x": np.zeros((3, 3, 3)), "y": np.eye(3)}, r"one-hot: give their numpy.argmax\(..., 1\)"),
        ({"x": np.zeros((2, 3, 3)), "y": np.ones((2, 3))}, "examples; give one label an example"),
        ({"x": np.zeros((2, 3, 3)), "y": np.zeros(2, "M8[D]")}, "give integers from 0, or words"),
        ({"x": np.zeros((2, 3, 3)), "y": np.array(["a", None])}, r"with .astype\(str\) and not as"),
        (
            {
                "x_train": np.zeros((2, 3, 3)),
                "y_train": np.array(["a", "b"]),
                "x_validation": np.zeros((1, 3, 3)),
                "y_validation": np.zeros(1, int),
            },
            "words in one part and numb",
        ),
        (
            {
                "x_train": np.zeros((2, 3, 3)),
                "y_train": np.array(["a", "b"]),
                "x_validation": np.zeros((1, 3, 3)),
                "y_validation": np.array(["c"]),
            },
            r"that training lacks \(c\)",
        ),
        ({"x": np.array(["a", "b"])[:, None]}, "give real numbers"),
        ({"x": np.zeros(4)}, r"shape \(4,\); it must be \[N"),
        ({"x": np.zeros((0, 3, 3))}, "not empty"),
        ({"x": np.zeros((2, 100, 12))}, "set data.size=100,12 if .* or data.size=100 if the last"),
        ({"x": np.zeros((2, 8, 8, 12))}, "set data.size=8,8,12 if .* or data.size=8,8 if the last"),
        ({"x": np.zeros((2, 3, 8, 8))}, r"numpy.moveaxis\(x, 1, -1\) if the second .*=3,8,8 if"),
        ({"x": np.zeros((2, 12, 8, 8))}, r"numpy.moveaxis\(x, 1, -1\) if the second .*=12,8,8 if"),
        ({"x": np.zeros((2, 2, 50))}, r"numpy.moveaxis\(x, 1, -1\) if the second axis holds the"),
        ({"x": np.array([[1.0, np.nan], [0, 1]])}, "not all finite"),
        ({"x": np.array([[1.0, np.inf], [0, 1]])}, "not all finite"),
        ({"x": np.array([[1e300, 0], [0, 1]])}, r"to 1e\+300, not all finite in float32"),
        (
            {"x_train": np.zeros((4, 3, 3)), "x_validation": np.full((1, 3, 3), np.nan)},
            "not all finite",
        ),
    ],
)
def test_bad_arrays_are_refused_in_one_line(npz, arrays, message):
    with pytest.raises(ValueError, match=message) as caught:
        npz(**arrays)
    assert "\n" not in str(caught.value)
    assert "data.npz" in str(caught.value)


def test_evaluation_numbers_that_the_training_dtype_gives_no_scale_for_are_refused(npz):
    pixels = np.arange(2 * 9).reshape(2, 3, 3)
    for dtype in (np.float32, np.int64):
        with pytest.raises(ValueError, match=r"from 0 to 17, and training .* 8 or 16 bits; store"):
            npz(x_train=pixels.astype(np.uint8), x_validation=pixels.astype(dtype))
    built = npz(x_train=pixels.astype(np.uint8), x_validation=(pixels / 255).astype(np.float32))
    first, second = (built.examples(split, 2)["inputs"] for split in ("train", "validation"))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_many_channels_cannot_become_colours(npz):
    with pytest.raises(ValueError, match=r"data.channels=3 cannot be had from the 7 channels"):
        npz(x=np.zeros((9, 4, 4, 7), np.uint8), config={"size": (4, 4), "channels": 3})


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"array:/nowhere.npz': no such file"):
        data.build({"source": "array:/nowhere.npz"}, seed=0, batch_size=1)
    path = tmp_path / "broken.npz"
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ValueError, match=r"broken.npz' is not a readable .npz"):
        data.build({"source": f"array:{path}"}, seed=0, batch_size=1)
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"plain.npy' is one array .*numpy.savez"):
        data.build({"source": f"array:{tmp_path}/plain.npy"}, seed=0, batch_size=1)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 3, 8, 8), (8, 8)), ((2, 12, 8, 8), (8, 8)), ((2, 2, 50), (50,))],
)
def test_channels_first_are_refused_where_a_size_would_resize_them_and_the_hint_helps(
    npz, shape, size
):
    x = np.random.default_rng(0).random(shape)
    message = r"channels must come last: numpy.moveaxis\(x, 1, -1\) .* set data.size="
    with pytest.raises(ValueError, match=message):
        npz(x=x, config={"size": size, "validation_fraction": 0})
    built = npz(x=np.moveaxis(x, 1, -1), config={"size": size, "validation_fraction": 0})
    assert built.shape == (*size, shape[1])
    stored = shape[1:-1]  # what the message offers where the last axis does hold the channels
    assert npz(x=x, config={"size": stored, "validation_fraction": 0}).shape == shape[1:]


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_words_are_class_names_of_both_splits(npz, dtype):
    built = npz(
        x_train=np.zeros((4, 3, 3)), y_train=np.array(["oak", "ash", "oak", "fir"]).astype(dtype),
        x_validation=np.zeros((2, 3, 3)), y_validation=np.array(["oak", "fir"]).astype(dtype),
    )  # fmt: skip
    assert (built.class_names, built.num_classes) == (("ash", "fir", "oak"), 3)
    (train,) = built.eval_batches("train", 4)
    (test,) = built.eval_batches("validation", 2)
    np.testing.assert_array_equal(train["label"], [2, 0, 2, 1])
    np.testing.assert_array_equal(test["label"], [2, 1])


def test_classes_by_number_must_be_known_to_the_training_split(npz, tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros((2, 3, 3)), y=np.array([0, 2]))
    config = {"validation_source": f"array:{tmp_path / 'other.npz'}"}
    with pytest.raises(ValueError, match=r"evaluation examples have 3 classes, the training .* 2;"):
        npz(x=np.zeros((2, 3, 3)), y=np.array([0, 1]), config=config)


@pytest.mark.parametrize(("noise", "is_same"), [(0, True), (0.001, True), (0.1, False)])
def test_examples_that_are_all_the_same_or_nearly_are_warned_of(npz, caplog, noise, is_same):
    rng = np.random.default_rng(0)
    x = rng.random((1, 6, 6)) + noise * rng.random((20, 6, 6))
    npz(x=x)
    assert ("18 training examples that were looked at are all the same" in caplog.text) == is_same
    caplog.clear()
    npz(x=rng.integers(0, 200, (20, 6, 6)).astype(np.uint16))  # dark, but not the same
    assert "all the same" not in caplog.text


def test_classes_that_are_numbered_from_one_are_warned_of(tmp_path, caplog):
    x = np.random.default_rng(0).random((8, 4, 4))
    for first in (0, 1):
        np.savez(tmp_path / f"{first}.npz", x=x, y=np.arange(8) % 2 + first)
        found = data.build({"source": f"array:{tmp_path}/{first}.npz"}, seed=0, batch_size=1)
        assert found.num_classes == 2 + first
        assert ("the least label is 1, so that of 3 classes" in caplog.text) == (first == 1)
