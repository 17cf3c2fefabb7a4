"""What a run makes of inputs of one's own: pictures, words or numbers."""

import csv
import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from maskjax.config import flatten
from maskjax.data.processor import Processor, stack
from maskjax.evaluation import panels
from maskjax.tasks.task import Task
from maskjax.tools import answers, predict, saved
from maskjax.tools.answers import open_answers
from maskjax.tools.rows import write_rows
from maskjax.training import draw
from maskjax.training.state import TrainState
from maskjax.training.step import eval_context


def _save(path, seed=0, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(path)
    return str(path)


def _all(workdir, inputs, *, source="", **options):
    return list(predict.predict(open_answers(workdir, None, source=source), inputs, **options))


def test_own_images_need_no_training_data(moved, drawn, tmp_path):
    image = _save(tmp_path / "a.png", size=(20, 30, 3))
    folder = moved()
    assert _all(folder, [image]) == [str(folder / "figures" / "own_reconstructions.png")]
    expected = np.asarray(Image.open(image).convert("L"), np.float32) / 255
    assert drawn[0]["original"].mean() == pytest.approx(expected[:, 5:25].mean(), abs=0.01)
    assert drawn[0]["labels"] == ["a.png"]


def test_a_run_that_does_not_know_its_data_asks_for_them(moved, drawn, tmp_path):
    image = _save(tmp_path / "a.png")
    folder = moved(old=True)
    with pytest.raises(FileNotFoundError, match="--data="):
        _all(folder, [image])
    assert _all(folder, [image], source="digits")


def test_folders_are_searched_as_training_searches_them(smoke_run, drawn, tmp_path, caplog):
    found = tmp_path / "in"
    for name in ("z.png", "ash/1.jpg", "ash/below/2.png", "like.png/3.webp", ".hidden/4.png"):
        _save(found / name)
    (found / "._z.png").write_bytes(b"what macOS leaves")
    (found / "notes.txt").write_text("no image")
    (found / "broken.png").write_bytes(b"no image either")
    _all(smoke_run, [str(found), str(found / "z.png")], output=tmp_path / "out")
    names = ["z.png", "ash/1.jpg", "ash/below/2.png", "like.png/3.webp", "z.png"]
    assert drawn[0]["labels"] == names
    assert "left out: " in caplog.text
    assert "broken.png cannot be decoded" in caplog.text


def test_many_images_make_pages_that_one_program_computes(
    smoke_run, drawn, tmp_path, monkeypatch, capsys
):
    for i in range(6):
        _save(tmp_path / "in" / f"{i}.png", seed=i)
    inputs, out = [str(tmp_path / "in")], tmp_path / "out"
    assert _all(smoke_run, inputs, output=out) == [str(out / "own_reconstructions.png")]
    programs = set()

    def show(task, *arguments, **options):
        programs.add(task._compiled_reconstruct)
        return draw_page(task, *arguments, **options)

    draw_page = draw.show
    monkeypatch.setattr(draw, "show", show)
    monkeypatch.setattr(predict, "PAGE", 2)
    paths = _all(smoke_run, inputs, output=out, limit=5)
    assert paths == [str(out / f"own_reconstructions-{i}.png") for i in (1, 2, 3)]
    assert sorted(map(str, out.iterdir())) == paths  # the one of before would be taken for a part
    assert [len(page["labels"]) for page in drawn] == [6, 2, 2, 1]
    np.testing.assert_allclose(  # what an image is hidden does not depend on the page
        np.concatenate([page["seen"] for page in drawn[1:]]), drawn[0]["seen"][:5], atol=1e-6
    )
    (program,) = programs
    assert program._cache_size() == 1
    assert "these are the first 5 inputs: a higher --limit" in capsys.readouterr().err


def test_a_picture_goes_where_its_name_says_and_touches_nothing_else(smoke_run, drawn, tmp_path):
    (tmp_path / "mine-2.png").write_bytes(b"another picture of the user's")
    image = _save(tmp_path / "a.png")
    named = tmp_path / "mine.png"
    assert _all(smoke_run, [image], output=named) == [str(named)]
    assert (tmp_path / "mine-2.png").exists()


def test_a_saved_config_is_the_one_that_was_trained_with(smoke_run, smoke_config):
    read = saved.open_saved(smoke_run, needs_examples=False).config
    assert flatten(read) == flatten(smoke_config)


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_features_are_rows_and_those_of_the_task(smoke_run, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(predict, "BATCH", 2)
    images = [_save(tmp_path / f"{i}.png", seed=i, size=(8, 8)) for i in range(3)]
    path = tmp_path / f"out{suffix}"
    assert _all(smoke_run, images, what="features", output=path) == [str(path)]
    if suffix == ".npz":
        with np.load(path) as file:
            names, rows = file["inputs"].tolist(), file["features"]
    else:
        with path.open() as file:
            _, *lines = csv.reader(file)
        names, rows = [line[0] for line in lines], np.array([line[1:] for line in lines], float)
    run = saved.open_saved(smoke_run, needs_examples=False)
    read = [example for image in images for _, example in run.data.processor.read(image)]
    batch = {"inputs": jnp.asarray(run.data.processor.collate(read)["inputs"])}
    context = eval_context(run.config, {"index": jnp.arange(3)}, ())
    expected = run.task.outputs()["features"](run.state.eval_params, batch, context)
    assert names == ["0.png", "1.png", "2.png"]
    np.testing.assert_allclose(rows, expected, atol=1e-4)


class _Colours(Processor):
    """Histories of three items that have names."""

    is_random, in_words = False, "histories"

    def words(self, ids):
        return [("red", "green", "blue")[i] for i in ids]

    def read(self, text):
        if not text.replace(",", "").isdigit():
            raise ValueError(f"{text!r} is no history: give ids with commas between")
        yield text, {"items": np.array(text.split(","), np.int32)}

    def collate(self, examples):
        return stack(examples)


class _NextColour(Task):
    """Always expects the same."""

    def init(self, key):
        raise NotImplementedError

    def loss(self, params, batch, context):
        raise NotImplementedError

    def show(self, params, batch, context):
        items = np.pad(batch["items"], ((0, 0), (0, 1)), constant_values=panels.UNKNOWN)
        is_hidden = items == panels.UNKNOWN
        guesses = np.broadcast_to([2, 0], (*items.shape, 2))
        chances = np.broadcast_to([0.5, 0.25], guesses.shape)
        panel = panels.TokenPanel(items, items, is_hidden, items == items, guesses, chances)
        return {"next_items": panel}


@pytest.fixture
def histories(monkeypatch, tmp_path):
    """The folder of a run of that task."""
    task, config = _NextColour(), types.SimpleNamespace(seed=0, total_steps=1, task="colours")
    state = TrainState(
        1, params=(), opt_state=(), ema_params=None, nonfinite_total=0, nonfinite_run=0
    )
    data = types.SimpleNamespace(processor=_Colours())
    run = saved.Saved(tmp_path, config, data, task, state)
    monkeypatch.setattr(answers, "open_saved", lambda *_, **__: run)
    return tmp_path


def test_words_are_printed_or_written(histories):
    lines = ["0,1: red green [blue 50.0%, red 25.0%]", "1,1: green green [blue 50.0%, red 25.0%]"]
    assert _all(histories, ["0,1", "1,1"]) == lines
    path = histories / "next.txt"
    assert _all(histories, ["0,1", "1,1"], output=path) == [str(path)]
    assert path.read_text().splitlines() == lines
    path = histories / "next.csv"
    assert _all(histories, ["0,1"], output=path, what="next_items") == [str(path)]
    assert path.read_text().splitlines() == [
        "input,position,true,rank,guess,probability",
        '"0,1",2,,1,blue,0.5',
        '"0,1",2,,2,red,0.25',
    ]
    path = histories / "next.png"
    assert _all(histories, ["0,1"], output=path) == [str(path)]
    with Image.open(path) as picture:
        picture.verify()


def test_an_output_that_is_not_there_is_called_as_it_was_asked_for():
    export = object.__new__(answers.OfExport)
    export.outputs, export.task = ("features", "reconstructions"), "mae"
    known = r"unknown --what=classes: use one of \['reconstructions', 'features'\]"
    with pytest.raises(ValueError, match=known):
        predict._panel("classes", export, {"reconstructions": None})


def test_words_that_cannot_be_read_or_written_are_named(histories):
    with pytest.raises(ValueError, match="'abc' is no history"):
        _all(histories, ["abc"])
    with pytest.raises(ValueError, match=r"unknown --what=next_item \(did you mean 'next_items'"):
        _all(histories, ["0,1"], what="next_item")
    with pytest.raises(
        ValueError,
        match=r"next\.npz: next_items cannot be .* end in \.png or \S+ or \S+ or \.txt or \.csv",
    ):
        _all(histories, ["0,1"], output=histories / "next.npz")
    with pytest.raises(ValueError, match="the limit of inputs is 0"):
        _all(histories, ["0,1"], limit=0)


def test_images_that_cannot_be_read_or_drawn_are_named(smoke_run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file cannot be written .*--output="):
        _all(smoke_run, ["0.png"], output=tmp_path / "file" / "a.png")
    with pytest.raises(FileNotFoundError, match="holds no run"):
        _all(tmp_path, ["0.png"])
    with pytest.raises(FileNotFoundError, match=r"absent\.png: no such file"):
        _all(smoke_run, [str(tmp_path / "absent.png")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no images"):
        _all(smoke_run, [str(tmp_path / "empty")])
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"broken\.png cannot be decoded"):
        _all(smoke_run, [str(tmp_path / "broken.png")])
    with pytest.raises(ValueError, match=r"features cannot be .* end in \.npz or \.csv"):
        _all(smoke_run, ["0.png"], what="features", output=tmp_path / "a.png")


def test_an_export_answers_as_its_run_does(smoke_run, exported, drawn, tmp_path):
    path = tmp_path / "waves.npy"
    np.save(path, np.random.default_rng(0).uniform(0, 16, (3, 8, 8, 1)).astype(np.float32))
    found = []
    for number, place in enumerate([(smoke_run, None), (None, exported)]):
        model, inputs = open_answers(*place), [str(path)]
        files = [tmp_path / f"{number}-{what}.npz" for what in ("error", "reconstructions")]
        for file in files:
            what = file.stem.partition("-")[2]
            assert list(predict.predict(model, inputs, what=what, output=file)) == [str(file)]
        found.append({**np.load(files[0]), **np.load(files[1])})
        list(predict.predict(model, inputs, output=tmp_path))
    assert found[0].keys() == found[1].keys() > {"error", "pasted", "inputs"}
    for name in found[0].keys() - {"inputs"}:
        np.testing.assert_allclose(found[1][name], found[0][name], atol=1e-5, err_msg=name)
    assert found[0]["inputs"].tolist() == ["waves.npy[0]", "waves.npy[1]", "waves.npy[2]"]
    of_run, of_export = drawn
    np.testing.assert_allclose(of_export["seen"], of_run["seen"], atol=1e-5, equal_nan=True)
    with pytest.raises(ValueError, match="write them as"):
        list(predict.predict(model, inputs, what="reconstructions", output=tmp_path / "a.csv"))
    with pytest.raises(ValueError, match="give one of --workdir=RUN and --model=EXPORT"):
        open_answers(smoke_run, exported)


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_cannot_be_decoded_is_left_out_or_refused_as_asked(
    exported, tmp_path, caplog, is_folder
):
    _save(tmp_path / "in" / "good.png", size=(8, 8))
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    inputs = [tmp_path / "in"] if is_folder else sorted((tmp_path / "in").iterdir())
    inputs, output = [str(each) for each in inputs], tmp_path / "error.csv"
    options = {"what": "error", "output": output}
    model = open_answers(None, exported)
    assert list(predict.predict(model, inputs, bad_files="skip", **options)) == [str(output)]
    assert "bad.png cannot be decoded" in caplog.text
    header, line = output.read_text().splitlines()
    assert header == "input,error"
    assert line.startswith("good.png,")
    with pytest.raises(ValueError, match=r"bad\.png cannot be decoded"):
        list(predict.predict(model, inputs, bad_files="error", **options))


def test_classes_are_named_with_the_likeliest_first(tmp_path):
    pages = [(["a", "b"], np.array([[0.25, 0.75], [0.5, 0.5]])), (["c"], np.array([[1.0, 0.0]]))]
    path = tmp_path / "classes.csv"
    write_rows(path, "classes", pages, ("cat", "dog"))
    assert path.read_text().split() == [
        "input,class,cat,dog", "a,dog,0.25,0.75", "b,cat,0.5,0.5", "c,cat,1.0,0.0",
    ]  # fmt: skip
    write_rows(tmp_path / "classes.npz", "classes", pages, ("cat", "dog"))
    with np.load(tmp_path / "classes.npz") as found:
        assert found["class_names"].tolist() == ["cat", "dog"]
        np.testing.assert_array_equal(found["classes"].argmax(1), [1, 0, 0])
