"""Soft gates from outside, through the door that training uses."""

import numpy as np
import pytest
from PIL import Image

from maskjax import data

SIZE = (6, 5)


@pytest.fixture(scope="module")
def pictures():
    """Grey pictures [N, H, W] from 0 to 1."""
    return np.random.default_rng(0).random((20, *SIZE)).astype(np.float32)


@pytest.fixture
def build(tmp_path, pictures):
    """Build a data set of the pictures with these arrays beside them."""

    def build(arrays=None, **config):
        np.savez(tmp_path / "x.npz", x=pictures, **(arrays or {}))
        config = {"source": f"array:{tmp_path / 'x.npz'}", "size": SIZE, **config}
        return data.build(config, seed=0, batch_size=4, is_compact=True)

    return build


@pytest.mark.parametrize("size", [SIZE, (4, 4)])
def test_a_gate_of_each_example_is_cropped_flipped_and_resized_as_its_picture(
    build, pictures, size
):
    opened = build({"gate": pictures}, flip=True, crop_scale=(0.3, 0.8), size=size)
    assert opened.has_gate
    for batches in (opened.train_batches(), opened.eval_batches("validation", 4)):
        batch = next(iter(batches))
        is_valid = batch["is_valid"]
        shown = opened.processor.denormalise(batch["inputs"])[is_valid, ..., 0]
        np.testing.assert_allclose(batch["gate"][is_valid], shown, atol=1e-5)


def test_one_gate_is_that_of_all_examples_as_the_model_sees_them(build, tmp_path):
    m = np.arange(30, dtype=np.float32).reshape(SIZE) / 32
    np.save(tmp_path / "m.npy", m)
    opened = build(flip=True, gate=str(tmp_path / "m.npy"))
    assert (next(opened.train_batches())["gate"] == m).all()
    described = opened.describe()
    restored = data.restore(
        {"source": "array:gone.npz", "gate": str(tmp_path / "m.npy")}, described
    )
    np.save(tmp_path / "own.npy", np.zeros((*SIZE, 1), np.float32))
    ((_, example),) = restored.processor.read(str(tmp_path / "own.npy"))
    np.testing.assert_array_equal(example["gate"], m)
    np.save(tmp_path / "m.npy", m[::-1])
    assert build(gate=str(tmp_path / "m.npy")).describe()["gate"] != described["gate"]
    plain = build()
    assert not plain.has_gate
    assert "gate" not in plain.describe()
    assert "gate" not in next(plain.train_batches())


def test_grey_values_of_a_picture_are_its_m_at_the_size_of_examples(build, tmp_path):
    levels = np.repeat(np.arange(0, 250, 50, dtype=np.uint8)[None], 6, axis=0)
    Image.fromarray(np.kron(levels, np.ones((4, 4), np.uint8))).save(tmp_path / "m.png")
    m = next(build(gate=str(tmp_path / "m.png")).train_batches())["gate"][0]
    np.testing.assert_allclose(m, levels / 255, atol=0.05)  # resized, which rings a little


def test_an_input_of_ones_own_is_seen_as_it_is(build, pictures, tmp_path):
    opened = build({"gate": pictures > 0.5})
    assert set(np.unique(next(opened.train_batches())["gate"])) == {0, 1}
    np.save(tmp_path / "own.npy", pictures[:2, ..., None])
    examples = [example for _, example in opened.processor.read(str(tmp_path / "own.npy"))]
    assert (opened.processor.collate(examples)["gate"] == 1).all()


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            np.zeros((6, 4)),
            r"has shape \(6, 4\); give one number for each place, of shape \(6, 5\)",
        ),
        (np.full(SIZE, 1.5), r"holds 1\.5; give numbers from 0 \(hidden\) to 1 \(seen\)"),
        (np.full(SIZE, -0.5), r"holds -0\.5; give numbers"),
        (np.full(SIZE, np.nan), "holds nan; give numbers"),
        (np.ones(SIZE, int), "holds int64; give floats from 0"),
    ],
)
def test_what_is_no_gate_is_refused(build, tmp_path, pictures, gate, message):
    np.save(tmp_path / "m.npy", gate)
    with pytest.raises(ValueError, match=f"data.gate='.*m.npy' {message}"):
        build(gate=str(tmp_path / "m.npy"))
    with pytest.raises(ValueError, match=r"x.npz': gate (has shape|holds)"):
        build({"gate": np.stack([gate] * len(pictures))})


def test_a_gate_that_cannot_be_had_is_refused(build, tmp_path, pictures):
    with pytest.raises(FileNotFoundError, match=r"give a .npy file or a picture of m"):
        build(gate=str(tmp_path / "nothing.npy"))
    (tmp_path / "words.npy").write_text("words")
    with pytest.raises(ValueError, match=r"words.npy' cannot be read .*write it with numpy.save"):
        build(gate=str(tmp_path / "words.npy"))
    np.save(tmp_path / "m.npy", pictures[0])
    with pytest.raises(ValueError, match="each example of the source has a gate; set it to ''"):
        build({"gate": pictures}, gate=str(tmp_path / "m.npy"))
    np.savez(tmp_path / "bare.npz", x=pictures)
    with pytest.raises(ValueError, match="some splits have a 'gate' and validation has none"):
        build({"gate": pictures}, validation_source=f"array:{tmp_path / 'bare.npz'}")
    Image.new("L", (5, 6)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"does not fit examples of shape \(30, 1\)"):
        build(gate=str(tmp_path / "m.png"), source="vectors", size=(30,))
