"""idx files, written here byte by byte."""

import gzip
import struct

import numpy as np
import pytest

from maskjax import data
from maskjax.data.image import idx
from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import open_splits


def _idx_bytes(code, shape, payload):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + payload


def _write_images(path, count, label_count=None):
    images = bytes(range(count * 15))
    (path / "train-images-idx3-ubyte").write_bytes(_idx_bytes(8, (count, 3, 5), images))
    labels = bytes(i % 3 for i in range(label_count or count))
    label_bytes = _idx_bytes(8, (len(labels),), labels)
    (path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(label_bytes))


@pytest.mark.parametrize(
    ("code", "payload", "expected"),
    [
        (0x08, b"\x00\x01\xff", [0, 1, 255]),
        (0x09, b"\x00\x01\xff", [0, 1, -1]),
        (0x0B, b"\x00\x01\x01\x00\xff\xfe", [1, 256, -2]),
        (0x0C, b"\x00\x00\x00\x01\x00\x01\x00\x00\xff\xff\xff\xff", [1, 65536, -1]),
        (0x0D, b"\x3f\x80\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x00", [1.0, -2.0, 0.0]),
        (0x0E, b"\x3f\xf0" + bytes(6) + b"\xc0" + bytes(7) + bytes(8), [1.0, -2.0, 0.0]),
    ],
)
def test_every_dtype_is_read_from_big_endian_bytes(tmp_path, code, payload, expected):
    path = tmp_path / "x-idx1"
    path.write_bytes(_idx_bytes(code, (3,), payload))
    array = idx.read(path)
    np.testing.assert_array_equal(array, expected)
    assert array.dtype.isnative


@pytest.mark.parametrize(("code", "dtype"), [(0x0C, ">i4"), (0x0E, ">f8")])
def test_digits_far_from_zero_are_kept(tmp_path, code, dtype):
    x = (2.0**30 + np.arange(6 * 15)).astype(dtype)  # float32 knows every 64th
    (tmp_path / "train-images-idx3").write_bytes(_idx_bytes(code, (6, 3, 5), x.tobytes()))
    config = {"source": f"idx:{tmp_path}", "validation_fraction": 0, "test_fraction": 0}
    built = data.build(config, seed=0, batch_size=2)
    shown = built.processor.denormalise(built.examples("train", 6)["inputs"]).ravel()
    np.testing.assert_allclose(shown, np.arange(6 * 15) / 89, atol=1e-6)


def test_gzipped_and_plain_files_make_a_source(tmp_path):
    _write_images(tmp_path, 5)
    splits = open_splits(f"idx:{tmp_path}", ImageSettings())
    train = splits.train
    assert (len(train), train.shape, train.num_classes) == (5, (3, 5, 1), 3)
    np.testing.assert_array_equal(train[1]["image"][..., 0], np.arange(15, 30).reshape(3, 5))
    assert train[4]["label"] == 1
    assert splits.set_apart() == {}


def test_t10k_files_are_the_test_split(tmp_path):
    _write_images(tmp_path, 5)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(_idx_bytes(8, (1, 3, 5), bytes(15)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(_idx_bytes(8, (1,), b"\x07"))
    train, validation, test, _ = open_splits(f"idx:{tmp_path}", ImageSettings())
    assert validation is None
    assert len(test) == 1
    assert test[0]["label"] == 7
    assert train.num_classes == test.num_classes == 8


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((4, 6), (), (6, 1)),
        ((2, 6, 5), (), (6, 5, 1)),
        ((2, 6, 5), (6,), (6, 5)),
        ((2, 6, 5, 3), (), (6, 5, 3)),
        ((2, 6, 5, 7), (), (6, 5, 7, 1)),
        ((2, 6, 5, 7), (6, 5), (6, 5, 7)),
    ],
)
def test_any_rank_is_read_and_size_tells_channels_from_space(tmp_path, shape, size, expected):
    payload = bytes(int(np.prod(shape)))
    (tmp_path / "train-images-idx").write_bytes(_idx_bytes(8, shape, payload))
    assert open_splits(f"idx:{tmp_path}", ImageSettings(size=size)).train.shape == expected


def test_channels_first_are_refused_unless_a_size_says_that_they_are_space(tmp_path):
    (tmp_path / "train-images-idx").write_bytes(_idx_bytes(8, (2, 3, 8, 8), bytes(384)))
    with pytest.raises(ValueError, match=r"store numpy.moveaxis\(x, 1, -1\) if the second axis"):
        open_splits(f"idx:{tmp_path}", ImageSettings())
    assert open_splits(f"idx:{tmp_path}", ImageSettings(size=(3, 8, 8))).train.shape == (3, 8, 8, 1)


def test_truncated_file_is_named_with_both_lengths(tmp_path):
    _write_images(tmp_path, 5)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte is truncated.*91 bytes.*87"):
        open_splits(f"idx:{tmp_path}", ImageSettings())


def test_truncated_gzip_is_named(tmp_path):
    _write_images(tmp_path, 5)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte.gz is truncated"):
        open_splits(f"idx:{tmp_path}", ImageSettings())


@pytest.mark.parametrize("content", [b"", b"\x89PNG....", b"\0\0\x07\x01"])
def test_another_format_is_refused(tmp_path, content):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match="is not an idx file"):
        open_splits(f"idx:{tmp_path}", ImageSettings())


def test_label_file_of_another_length_is_refused(tmp_path):
    _write_images(tmp_path, 5, label_count=4)
    with pytest.raises(ValueError, match=r"train labels has shape \(4,\) for 5 examples"):
        open_splits(f"idx:{tmp_path}", ImageSettings())


def test_hidden_files_are_passed_over(tmp_path):
    _write_images(tmp_path, 5)
    (tmp_path / "._train-images-idx3-ubyte").write_bytes(b"resource fork")
    assert len(open_splits(f"idx:{tmp_path}", ImageSettings()).train) == 5


def test_two_data_sets_in_a_folder_are_refused(tmp_path):
    _write_images(tmp_path, 5)
    (tmp_path / "emnist-train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(ValueError, match=r"several files.*emnist-train-images-idx3-ubyte"):
        open_splits(f"idx:{tmp_path}", ImageSettings())


def test_missing_folder_and_missing_files_say_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder; give the one that holds train"):
        data.build({"source": f"idx:{tmp_path}/nowhere"}, seed=0, batch_size=1)
    with pytest.raises(FileNotFoundError, match="no train-images-idx3-ubyte"):
        data.build({"source": f"idx:{tmp_path}"}, seed=0, batch_size=1)
