"""`tfds:NAME` on a dataset whose files are written here, without TensorFlow."""

import io
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from maskjax import data
from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import open_splits
from maskjax.data.text import TextSettings, corpus_named

_CHECK = """
import sys
from maskjax import data
from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import open_splits
built = data.build({"source": "tfds:tiny"}, seed=0, batch_size=2)
next(built.train_batches())
assert "tensorflow" not in sys.modules
assert built.num_train == 5
"""


def _pixels(index):
    return np.random.default_rng(index).integers(0, 256, (6, 5, 3), np.uint8)


def _write(folder, features, splits, supervised=None):
    """Write a prepared dataset: `splits` maps names to lists of {key: bytes, int or floats}."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    folder.mkdir(parents=True)
    tfds.features.FeaturesDict(features).save_config(folder)
    name = folder.relative_to(os.environ["TFDS_DATA_DIR"]).parts[0]
    infos = []
    for split, examples in splits.items():
        writer = ArrayRecordWriter(
            str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for example in examples:
            proto = tf_example_pb2.Example()
            for key, value in example.items():
                feature = proto.features.feature[key]
                if isinstance(value, bytes):
                    feature.bytes_list.value.append(value)
                elif isinstance(value, int):
                    feature.int64_list.value.append(value)
                else:
                    feature.float_list.value.extend(value)
            writer.write(proto.SerializeToString())
        writer.close()
        infos.append(
            {
                "name": split,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "numBytes": "1",
                "shardLengths": [str(len(examples))],
            }
        )
    info = {
        "name": name,
        "version": folder.name,
        "fileFormat": "array_record",
        "splits": infos,
    }
    if supervised:
        info["supervisedKeys"] = {"tuple": {"items": [{"featureKey": key} for key in supervised]}}
    (folder / "dataset_info.json").write_text(json.dumps(info))


def _image_example(index):
    buffer = io.BytesIO()
    Image.fromarray(_pixels(index)).save(buffer, "PNG")
    return {"image": buffer.getvalue(), "label": index % 2, "name": b"something"}


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def tiny(data_dir):
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=["no", "yes"]),
        "name": tfds.features.Text(),
    }
    examples = [_image_example(index) for index in range(8)]
    splits = {"train": examples[:5], "test": examples[5:]}
    _write(data_dir / "tiny" / "1.0.0", features, splits, ("image", "label"))
    _write(data_dir / "tiny" / "1.10.0", features, splits, ("image", "label"))
    _write(data_dir / "tiny" / "1.9.0", features, {"train": examples[:1]})
    return data_dir


def _build(name, **config):
    config = {"size": (6, 5), "mean": (0,), "std": (1,), "test_fraction": 0, **config}
    config["source"] = f"tfds:{name}"
    return data.build(config, seed=0, batch_size=1)


def test_texts_and_their_classes_are_read(data_dir):
    import tensorflow_datasets as tfds

    features = {
        "review": tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=["no", "ay"]),
    }
    examples = [
        {"review": text, "label": n % 2} for n, text in enumerate([b"ab", b"\xc3\xa9", b"c"])
    ]
    secret = [{"review": b"d", "label": -1}]
    _write(data_dir / "said" / "1.0.0", features, {"train": examples, "test": secret})
    config = {
        "source": "tfds_text:said", "layout": "whole", "max_length": 8, "text_column": "review",
        "label_column": "label", "validation_fraction": 0, "index": str(data_dir / "index"),
    }  # fmt: skip
    built = data.build(config, seed=0, batch_size=1)
    (train,) = built.eval_batches("train", 3)
    assert built.class_names == ("ay", "no")
    assert train["label"].tolist() == [1, 0, 1]
    rows = train["tokens"][:, 1:3] - 5  # behind [CLS]
    assert rows.tolist() == [list(b"ab"), [0xC3, 0xA9], [ord("c"), 3 - 5]]
    (test,) = built.eval_batches("test", 1)
    assert test["tokens"][0, 1] == ord("d") + 5
    corpus = corpus_named("tfds_text:said", TextSettings(text_column="review"))
    assert [text.text for text in corpus.read()] == ["ab", "\u00e9", "c"]
    with pytest.raises(ValueError, match=r"data.text_column: unknown feature 'reviews' \(did you"):
        data.build(config | {"text_column": "reviews"}, seed=0, batch_size=1)
    with pytest.raises(ValueError, match=r"example 0: 'label' is no text; set data\.text_column"):
        data.build(config | {"text_column": "label"}, seed=0, batch_size=1)


@pytest.mark.parametrize("name", ["tiny", "tiny:1.10.0", "tiny:1.0.0"])
def test_images_and_labels_are_read_in_stored_order(tiny, name):
    built = _build(name, validation_fraction=0)
    assert (built.num_train, built.num_test, built.num_classes) == (5, 3, 2)
    assert built.class_names == ("no", "yes")
    (train,) = built.eval_batches("train", 5)
    expected = np.stack([_pixels(index) for index in range(5)]) / 255
    np.testing.assert_allclose(train["inputs"], expected, rtol=1e-5)
    np.testing.assert_array_equal(train["label"], [0, 1, 0, 1, 0])
    (test,) = built.eval_batches("test", 3)
    np.testing.assert_allclose(test["inputs"][0], _pixels(5) / 255, rtol=1e-5)


def test_without_supervised_keys_the_features_kinds_tell(tiny):
    built = _build("tiny:1.9.0", validation_fraction=0)
    assert (built.num_train, built.num_classes) == (1, 2)


def test_an_array_feature_keeps_its_rank_and_is_scaled_by_its_range(data_dir):
    import tensorflow_datasets as tfds

    features = {"signal": tfds.features.Tensor(shape=(4, 2), dtype=np.float32)}
    signals = np.linspace(-4, 12, 24).reshape(3, 4, 2) * [1, 1000]
    splits = {"train": [{"signal": list(x.ravel())} for x in signals]}
    _write(data_dir / "waves" / "big" / "1.0.0", features, splits)
    built = _build("waves/big", size=(), validation_fraction=0)
    assert built.shape == (4, 2)
    (batch,) = built.eval_batches("train", 3)
    for channel in range(2):  # the second is 1000 times as large
        low, high = signals[..., channel].min(), signals[..., channel].max()
        expected = (signals[..., channel] - low) / (high - low)
        np.testing.assert_allclose(batch["inputs"][..., channel], expected, atol=1e-6)


def test_tensorflow_is_never_imported(tiny):
    code = _CHECK.replace('"tfds:tiny"', '"tfds:tiny", "size": (6, 5), "validation_fraction": 0')
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tny", r"unknown dataset 'tny' \(did you mean 'tiny'\?\).*builder\('tny', file_"),
        ("tiny:3.0.0", "no version 3.0.0; prepared: 1.0.0, 1.10.0, 1.9.0"),
        ("tiny/cfg", "no prepared version in .*tiny/cfg"),
        ("", "set TFDS_DATA_DIR"),
    ],
)
def test_what_is_not_prepared_is_named_with_what_is(tiny, name, message):
    with pytest.raises(FileNotFoundError, match=message) as caught:
        _build(name)
    assert "\n" not in str(caught.value)


def test_missing_data_dir_says_so(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/nowhere")
    with pytest.raises(FileNotFoundError, match="/nowhere is empty or missing; set TFDS_DATA_DIR"):
        _build("mnist")


def test_format_without_random_access_is_refused(tiny):
    path = pathlib.Path(tiny) / "tiny" / "1.0.0" / "dataset_info.json"
    path.write_text(path.read_text().replace('"array_record"', '"tfrecord"'))
    message = r"remove .*tiny/1.0.0 and .* again with .*builder\('tiny:1.0.0', file_"
    with pytest.raises(ValueError, match=message):
        _build("tiny:1.0.0")


def test_what_tfds_leaves_behind_is_no_dataset(tiny):
    (tiny / "downloads" / "extracted").mkdir(parents=True)
    (tiny / "half" / "incomplete.X_1.0.0").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="unknown dataset 'downloads'; known: half, tiny; "):
        _build("downloads")
    with pytest.raises(FileNotFoundError, match=r"nothing was prepared .*half; prepare it with"):
        _build("half")


def test_fingerprint_tells_versions_splits_and_files_apart_but_not_places(tiny, monkeypatch):
    def found(version):
        return [
            split.fingerprint()
            for split in open_splits(f"tfds:tiny:{version}", ImageSettings())[:3:2]
        ]

    plain = found("1.10.0")
    assert len({*plain, *found("1.0.0")}) == 4
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny.rename(tiny.parent / "elsewhere")))
    assert found("1.10.0") == plain
    train, test = (
        next((tiny.parent / "elsewhere" / "tiny" / "1.10.0").glob(f"*-{split}.array_record*"))
        for split in ("train", "test")
    )
    test.write_bytes(train.read_bytes())  # more examples
    assert found("1.10.0")[0] == plain[0]
    assert found("1.10.0")[1] != plain[1]


def test_a_split_of_secret_labels_has_none_and_a_single_one_is_named(data_dir, caplog):
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=["no", "yes"]),
    }
    examples = [_image_example(index) for index in range(4)]
    for example in examples:
        del example["name"]
    secret = [example | {"label": -1} for example in examples]
    _write(data_dir / "secret" / "1.0.0", features, {"train": examples, "test": secret})
    built = _build("secret", validation_fraction=0)
    assert built.num_classes == 2
    assert "label" not in next(built.eval_batches("test", 4))
    assert "no probes, as the evaluation examples have no classes" in caplog.text
    _write(data_dir / "mixed" / "1.0.0", features, {"train": [*examples, secret[0]]})
    with pytest.raises(ValueError, match="example 4 has the label -1, others have a class; leave"):
        list(_build("mixed", validation_fraction=0).eval_batches("train", 5))
