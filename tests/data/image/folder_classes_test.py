"""What `folder:DIR` makes of classes, of other files, and of files of several pictures."""

import numpy as np
import pytest
from PIL import Image

from maskjax import data
from maskjax.data import progress

_SIZE = ("RGB", (8, 6))


def _build(root, **config):
    config = {"source": f"folder:{root}", "test_fraction": 0, **config}
    return data.build(config, seed=0, batch_size=1)


def _other(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"another kind of file")


def test_tiff_bmp_and_gif_are_read_as_png_is(image_folder):
    names = ("a/0.tif", "a/1.TIFF", "b/2.bmp", "b/3.gif", "b/4.png")
    root = image_folder(dict.fromkeys(names, _SIZE))
    built = _build(root, channels=3, validation_fraction=0, mean=(0,), std=(1,))
    assert (built.num_train, built.class_names) == (5, ("a", "b"))
    (batch,) = built.eval_batches("train", 5)
    for index, name in enumerate(names):
        expected = np.asarray(Image.open(root / name).convert("RGB")) / 255
        np.testing.assert_allclose(batch["inputs"][index], expected, atol=1e-6)


def test_files_of_other_suffixes_are_counted_in_one_warning(image_folder, caplog):
    root = image_folder({"a/0.png": _SIZE, "b/1.png": _SIZE})
    _other(root, "a/x.HEIC", "a/y.heic", "b/deep/z.heic", "b/notes.txt", "README", "a/.DS_Store")
    assert _build(root, validation_fraction=0).num_train == 2
    (line,) = (line for line in caplog.messages if "left out" in line)
    assert "3 .heic, " in line
    assert "1 .txt" in line
    assert "1 without a suffix" in line
    assert "DS_Store" not in line


def test_a_class_without_an_image_that_can_be_read_is_refused(image_folder):
    root = image_folder({"train/a/0.png": _SIZE, "train/b/1.png": _SIZE, "val/a/2.png": _SIZE})
    (root / "train" / "c").mkdir()
    (root / "train" / "__MACOSX").mkdir()
    _other(root, "train/d/0.heic", "train/d/1.heic")
    message = r"2 of 4 class folders in .*train hold no image .*: c \(empty\), d \(2 .heic\); conv"
    with pytest.raises(ValueError, match=message):
        _build(root)
    (root / "train" / "c").rmdir()
    (root / "train" / "d").rename(root / "elsewhere")
    (root / "val" / "b").mkdir()  # an evaluation split may lack a class
    assert _build(root).num_classes == 2
    _other(root, "val/b/0.heic")
    with pytest.raises(ValueError, match=r"1 of 2 class folders in .*val hold no .*b \(1 .heic\)"):
        _build(root)


def test_a_class_whose_files_are_all_bad_is_refused(image_folder):
    root = image_folder({"a/0.png": _SIZE, "b/1.png": _SIZE, "b/2.png": _SIZE})
    for name in ("1.png", "2.png"):
        (root / "b" / name).write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"every file of b in .* is bad; give the class"):
        _build(root, bad_files="skip")


def test_class_names_are_one_whatever_their_unicode_form(image_folder):
    composed, apart = "\u00e9cole", "e\u0301cole"
    names = (f"train/{composed}/0.png", "train/f/1.png", "val/f/2.png", f"val/{apart}/3.png")
    root = image_folder(dict.fromkeys(names, _SIZE))
    built = _build(root)
    assert built.class_names == ("f", composed)
    (batch,) = built.eval_batches("validation", 2)
    np.testing.assert_array_equal(batch["label"], [1, 0])  # in stored order: e\u0301 before f
    (root / "train" / apart).mkdir()
    Image.new("RGB", (6, 8)).save(root / "train" / apart / "9.png")
    with pytest.raises(ValueError, match=r"differ in Unicode form alone .*; move the files"):
        _build(root)


def test_files_of_several_pictures_are_named(image_folder, caplog):
    root = image_folder({"0.png": ("L", (8, 6))})
    first, second = (Image.fromarray(np.full((8, 6), value, np.uint8)) for value in (10, 200))
    first.save(root / "scan.tif", save_all=True, append_images=[second])
    built = _build(root, validation_fraction=0, mean=(0,), std=(1,))
    (batch,) = built.eval_batches("train", 2)
    np.testing.assert_allclose(batch["inputs"][1], 10 / 255, rtol=1e-6)
    assert "of 1 files that hold several pictures" in caplog.text
    assert "scan.tif" in caplog.text


def test_evaluation_folders_may_lack_a_class_wherever_they_come_from(image_folder):
    names = ("train/a/0.png", "train/b/1.png", "train/c/2.png", "val/c/3.png")
    root = image_folder(dict.fromkeys(names, _SIZE))
    for validation_source in ("", f"folder:{root / 'val'}"):
        built = _build(root, validation_source=validation_source)
        assert (built.num_classes, built.num_validation) == (3, 1)
        (batch,) = built.eval_batches("validation", 1)
        np.testing.assert_array_equal(batch["label"], [2])
    (root / "val" / "c").rename(root / "val" / "d")
    with pytest.raises(ValueError, match=r"validation_source .*classes that training lacks \(d\)"):
        _build(root, validation_source=f"folder:{root / 'val'}")


@pytest.mark.parametrize(
    ("names", "bare"),
    [
        (("train/a/0.png", "train/b/1.png", "val/2.png"), "evaluation"),
        (("train/0.png", "train/1.png", "val/a/2.png"), "training"),
    ],
)
def test_where_one_split_has_classes_a_line_says_why_there_are_no_probes(
    image_folder, caplog, names, bare
):
    _build(image_folder(dict.fromkeys(names, _SIZE)))
    assert f"no probes, as the {bare} examples have no classes" in caplog.text
    caplog.clear()
    _build(image_folder({"0.png": _SIZE, "1.png": _SIZE}, name="flat"), validation_fraction=0.5)
    assert "no probes" not in caplog.text


def test_how_far_the_files_are_is_shown_where_it_takes_long(image_folder, capsys, monkeypatch):
    root = image_folder({f"{i}.png": _SIZE for i in range(4)})
    _build(root, validation_fraction=0)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_DELAY", 0)
    _build(root, validation_fraction=0)
    assert "opening files" in capsys.readouterr().err
