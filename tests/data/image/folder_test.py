"""`folder:DIR` in its layouts, with good and bad files."""

import logging

import numpy as np
import pytest
from PIL import Image

from maskjax import data
from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import open_splits

_SIZE = ("RGB", (8, 6))


def _build(root, batch_size=1, **config):
    config = {"source": f"folder:{root}", "test_fraction": 0, **config}
    return data.build(config, seed=0, batch_size=batch_size)


def _names(source):
    return [source[i]["image"].name.rsplit("/", 1)[1] for i in range(len(source))]


def test_classes_are_the_sorted_folder_names(image_folder):
    root = image_folder({"dog/2.png": _SIZE, "cat/deep/er/1.JPG": _SIZE, "cat/0.webp": _SIZE})
    (root / "dog" / ".hidden.png").write_bytes(b"")
    (root / "dog" / "notes.txt").write_text("no image")
    splits = open_splits(f"folder:{root}", ImageSettings())
    assert splits.validation is None
    assert splits.train.class_names == ("cat", "dog")
    assert _names(splits.train) == ["0.webp", "1.JPG", "2.png"]
    np.testing.assert_array_equal(splits.train.labels(), [0, 0, 1])


@pytest.mark.parametrize(
    ("train", "part", "split"),
    [*(("train", part, "validation") for part in ("val", "validation", "valid", "eval")),
     ("train", "test", "test"), ("train", "testing", "test"), ("Train", "Test", "test"),
     ("train", "VAL", "validation")],
)  # fmt: skip
def test_split_folders_share_the_training_classes(image_folder, train, part, split):
    names = (f"{train}/a/0.png", f"{train}/b/1.png", f"{part}/b/2.png")
    root = image_folder(dict.fromkeys(names, _SIZE))
    built = _build(root, validation_fraction=0)
    numbers = {"validation": built.num_validation, "test": built.num_test}
    assert numbers == {"validation": 0, "test": 0} | {split: 1}
    assert (built.num_train, built.num_classes, built.class_names) == (2, 2, ("a", "b"))
    (batch,) = built.eval_batches(split, 1)
    np.testing.assert_array_equal(batch["label"], [1])


def test_flat_folder_has_no_labels_and_a_share_is_held_out(image_folder):
    root = image_folder({f"{i}.png": _SIZE for i in range(10)})
    built = _build(root, validation_fraction=0.3)
    assert (built.num_train, built.num_validation, built.num_classes) == (7, 3, None)
    assert "label" not in next(built.train_batches())


def test_another_folder_can_be_the_evaluation_set(image_folder):
    train = image_folder({"a/0.png": _SIZE, "b/1.png": _SIZE})
    own = image_folder({"x.png": _SIZE, "y.png": _SIZE, "z.png": _SIZE}, name="own")
    built = _build(train, validation_source=f"folder:{own}")
    assert (built.num_train, built.num_validation) == (2, 3)
    (batch,) = built.eval_batches("validation", 3)
    shown = built.processor.denormalise(batch["inputs"])[1] * 255
    np.testing.assert_allclose(shown, np.asarray(Image.open(own / "y.png")), atol=1e-3)


def test_grey_rgb_rgba_and_16_bit_make_one_batch(image_folder):
    files = {"l.png": "L", "rgb.jpg": "RGB", "rgba.png": "RGBA", "p.png": "P", "u16.png": "I;16"}
    root = image_folder({file: ("L" if mode == "I;16" else mode, (8, 6))
                         for file, mode in files.items()})  # fmt: skip
    wide = np.arange(48, dtype=np.uint16).reshape(8, 6) * 1365
    Image.fromarray(wide).save(root / "u16.png")
    built = _build(root, channels=3, mean=(0,), std=(1,), validation_fraction=0)
    (batch,) = built.eval_batches("train", 5)
    assert batch["inputs"].shape == (5, 8, 6, 3)
    grey = np.asarray(Image.open(root / "l.png"))[..., None] / 255
    np.testing.assert_allclose(batch["inputs"][0], np.repeat(grey, 3, -1), rtol=1e-5)
    np.testing.assert_allclose(batch["inputs"][4, ..., 1], wide / 65535, rtol=1e-5)


def test_mixed_sizes_need_size_and_mixed_channels_need_channels(image_folder):
    root = image_folder({"a.png": _SIZE, "b.png": ("RGB", (9, 6)), "c.png": ("L", (9, 6))})
    with pytest.raises(ValueError, match=r"examples of different sizes; set data.size"):
        _build(root, channels=3, validation_fraction=0)
    with pytest.raises(ValueError, match=r"different numbers of channels; set data.channels"):
        _build(root, size=(8, 8), validation_fraction=0)
    assert _build(root, size=(8, 8), channels=3, validation_fraction=0.5).shape == (8, 8, 3)


def test_missing_folder_and_folder_without_images(image_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder; give the path"):
        _build(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        data.build({"source": "folder"}, seed=0, batch_size=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images in .*empty; files must end in .jpg"):
        _build(tmp_path / "empty")


def test_ambiguous_layouts_are_refused(image_folder):
    root = image_folder({"0.png": _SIZE, "a/1.png": _SIZE})
    with pytest.raises(ValueError, match=r"holds both images \(0.png ...\) and folders"):
        _build(root)
    root = image_folder({"train/a/0.png": _SIZE, "val/c/1.png": _SIZE}, name="other")
    with pytest.raises(ValueError, match=r"have classes that training lacks \(c\); give both"):
        _build(root)
    root = image_folder({"training/a/0.png": _SIZE, "validation/a/1.png": _SIZE}, name="third")
    with pytest.raises(ValueError, match=r"holds training, validation but no train; name"):
        _build(root)
    root = image_folder({"Training/a/0.png": _SIZE, "Testing/a/1.png": _SIZE}, name="fourth")
    with pytest.raises(ValueError, match=r"holds Testing, Training but no train; name"):
        _build(root)


def test_links_are_followed_but_one_back_to_a_folder_above_adds_nothing(image_folder):
    elsewhere = image_folder({"0.png": _SIZE}, name="elsewhere")
    root = image_folder({"b/1.png": _SIZE})
    (root / "a").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    (root / "latest").symlink_to(root)
    splits = open_splits(f"folder:{root}", ImageSettings())
    assert (len(splits.train), splits.train.class_names) == (2, ("a", "b"))


@pytest.fixture
def folder_with_bad_files(image_folder):
    root = image_folder({f"{i}.png": _SIZE for i in range(8)})
    (root / "3.png").write_bytes(b"not an image")
    (root / "5.png").write_bytes((root / "5.png").read_bytes()[:100])
    return root


def test_bad_files_are_counted_named_and_refused(folder_with_bad_files):
    with pytest.raises(ValueError, match=r"2 of 8 files are bad; first: .*3.png") as caught:
        _build(folder_with_bad_files)
    assert "data.bad_files='skip'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files_are_skipped_if_so_configured(folder_with_bad_files, caplog):
    with caplog.at_level(logging.WARNING):
        built = _build(folder_with_bad_files, bad_files="skip", validation_fraction=0)
    assert built.num_train == 6
    assert built.num_skipped == 2
    for name in ("3.png", "5.png"):
        assert sum(name in line for line in caplog.messages) == 1


def test_skipped_files_of_both_splits_are_counted_and_the_first_of_many_named(image_folder, caplog):
    names = [f"train/a/{i:02}.png" for i in range(14)] + ["train/b/0.png", "val/a/0.png"]
    root = image_folder(dict.fromkeys([*names, "val/b/0.png"], _SIZE))
    for name in [*names[:13], "val/a/0.png"]:
        (root / name).write_bytes(b"not an image")
    assert _build(root, bad_files="skip").num_skipped == 14
    assert [name for name in names[:13] if name in caplog.text] == names[:10]
    assert "skipped: 3 more bad files" in caplog.text
    assert "val/a/0.png" in caplog.text


def test_skipped_files_are_counted_where_a_part_is_held_out(folder_with_bad_files):
    built = _build(folder_with_bad_files, bad_files="skip", validation_fraction=0.5)
    assert built.num_skipped == 2


def test_no_good_file_left_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="no file is left"):
        _build(tmp_path, bad_files="skip")


@pytest.fixture
def folder_with_hidden_damage(image_folder):
    """Make 5 files, one of whose pixels are damaged while its header and end are whole."""
    root = image_folder({f"{i}.png": ("RGB", (8, 8)) for i in range(5)})
    content = bytearray((root / "2.png").read_bytes())
    content[60:90] = bytes(30)
    (root / "2.png").write_bytes(content)
    return root


def test_damage_found_while_decoding_is_named(folder_with_hidden_damage):
    built = _build(folder_with_hidden_damage, mean=(0,), std=(1,), validation_fraction=0)
    with pytest.raises(ValueError, match=r"2.png cannot be decoded .*set data.bad_files='skip'"):
        list(built.eval_batches("train", 5))


def test_a_file_that_is_gone_is_to_be_brought_back(folder_with_hidden_damage):
    built = _build(folder_with_hidden_damage, mean=(0,), std=(1,), validation_fraction=0)
    (folder_with_hidden_damage / "2.png").unlink()
    with pytest.raises(ValueError, match=r"2.png.*No such file.*; bring it back or set data.bad_"):
        list(built.eval_batches("train", 5))


def test_damage_found_while_decoding_is_replaced_in_training_and_invalid_in_evaluation(
    folder_with_hidden_damage, caplog
):
    root = folder_with_hidden_damage
    built = _build(root, 5, mean=(0,), std=(1,), validation_fraction=0, bad_files="skip")
    assert built.num_skipped == 0
    (batch,) = built.eval_batches("train", 5)
    np.testing.assert_array_equal(batch["is_valid"], [True, True, False, True, True])
    first = next(built.train_batches())
    np.testing.assert_array_equal(np.sort(first["id"]), [0, 1, 3, 3, 4])  # of what is there
    epoch = first["inputs"]
    neighbour = np.asarray(Image.open(root / "3.png")) / 255
    copies = [np.allclose(example, neighbour, atol=1e-5) for example in epoch]
    assert sum(copies) == 2
    assert built.num_skipped == 1
    assert caplog.text.count("skipped: ") == 1


def test_examples_to_show_are_the_first_that_can_be_decoded(folder_with_hidden_damage):
    root = folder_with_hidden_damage
    (root / "0.png").write_bytes((root / "2.png").read_bytes())
    settings = {"mean": (0,), "std": (1,), "validation_fraction": 0, "bad_files": "skip"}
    shown = _build(root, **settings).examples("train", 1)["inputs"]
    expected = np.asarray(Image.open(root / "1.png")) / 255
    np.testing.assert_allclose(shown, expected[None], atol=1e-6)
    assert len(_build(root, **settings).examples("train", 5)["inputs"]) == 3


def test_fingerprint_is_of_names_sizes_and_classes_not_of_the_place(image_folder, tmp_path):
    def found(root):
        return open_splits(f"folder:{root}", ImageSettings()).train.fingerprint()

    root = image_folder({"a/0.png": _SIZE, "a/1.png": _SIZE, "b/2.png": _SIZE})
    plain = found(root)
    moved = root.rename(tmp_path / "elsewhere")
    assert found(f"{moved}/") == plain
    (moved / "b" / "2.png").rename(moved / "b" / "3.png")
    renamed = found(moved)
    (moved / "b" / "3.png").rename(moved / "b" / "2.png")
    (moved / "c").mkdir()
    (moved / "a" / "0.png").rename(moved / "c" / "0.png")
    other_class = found(moved)
    (moved / "c" / "0.png").rename(moved / "a" / "0.png")
    (moved / "c").rmdir()
    assert found(moved) == plain
    with (moved / "a" / "1.png").open("ab") as file:
        file.write(b"trailer")
    longer = found(moved)
    (moved / "a" / "1.png").unlink()
    assert len({plain, renamed, other_class, longer, found(moved)}) == 5
