import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from maskjax.evaluation import figure_pixels, rule_sheet
from maskjax.evaluation.figures.canvas import HIDDEN


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_visible_patches_keep_their_colours_and_hidden_ones_are_veiled():
    picture = np.random.default_rng(0).random((4, 6, 3), dtype=np.float32)
    is_masked = np.array([[True, False, False], [False, False, True]])
    figure = rule_sheet(picture, {"random": is_masked}, (2, 2))
    (axes,) = figure.axes
    drawn = np.asarray(axes.images[0].get_array())
    is_hidden = np.zeros((4, 6), bool)
    is_hidden[:2, :2] = is_hidden[2:, 4:] = True
    np.testing.assert_array_equal(drawn[~is_hidden], picture[~is_hidden])
    np.testing.assert_allclose(drawn[is_hidden], np.broadcast_to(HIDDEN, (8, 3)), atol=0.15)
    assert texts(figure) == ["random", "2 of 6 hidden"]


def test_a_dark_picture_is_brightened_and_it_is_said():
    picture = np.full((4, 4, 1), 1 / 32, np.float32)
    picture[:2] = 1 / 16
    figure = rule_sheet(picture, {"random": np.zeros((2, 2), bool)}, (2, 2))
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(drawn[[0, 3], 0, 0], [1, 0.5], rtol=1e-5)
    assert "Brightened: white stands for 0.062" in " ".join(texts(figure))


def test_every_rule_and_sample_is_drawn_with_its_count():
    photo = load_sample_image("flower.jpg")[:384, :512].astype(np.float32) / 255
    rng = np.random.default_rng(0)
    exact = rng.random((3, 12 * 16)).argsort(axis=1).reshape(3, 12, 16) < 144
    masks = {"random": exact, "block": exact[:, ::-1], "grid": exact[0], "loose": exact.copy()}
    masks["loose"][1] = False
    figure = rule_sheet(photo, masks, (32, 32))
    assert len(figure.axes) == 3 + 3 + 1 + 3
    assert texts(figure) == [
        *("random", "144 of 192 hidden"),
        *("block", "144 of 192 hidden"),
        *("grid", "144 of 192 hidden"),
        *("loose", "0 to 144 of 192 hidden"),
    ]
    boxes = [axes.get_position() for axes in figure.axes]
    for i, first in enumerate(boxes):
        assert not any(first.overlaps(second) for second in boxes[i + 1 :])
    assert figure_pixels(figure).std() > 10


def test_unequal_patch_sides_and_grey_pictures():
    picture = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6, 1)
    figure = rule_sheet(picture, {"sliding": np.array([[[True, False]]])}, (4, 3))
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_array_equal(drawn[:, 3:], picture[:, 3:].repeat(3, axis=-1))
    assert (drawn[:, :3] != picture[:, :3]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 6))}, r"floats \[H, W, C\], got float64 \(4, 6\)"),
        ({"image": np.zeros((4, 6, 3), np.uint8)}, r"got uint8 \(4, 6, 3\)"),
        ({"hidden": {}}, "no masking rule"),
        ({"hidden": {"block": np.zeros((2, 3))}}, "masks of 'block' must be bool, got float64"),
        ({"hidden": {"grid": np.zeros((3, 3), bool)}}, r"'grid', \(3, 3\) .*\(4, 6\)"),
        ({"hidden": {"tube": np.zeros((0, 2, 3), bool)}}, r"'tube', \(0, 2, 3\)"),
        ({"patch_size": (2, 3)}, r"patches of \(2, 3\), do not cover"),
    ],
)
def test_errors_name_what_does_not_fit(change, message):
    arguments = {
        "image": np.zeros((4, 6, 3)),
        "hidden": {"random": np.zeros((2, 3), bool)},
        "patch_size": (2, 2),
    }
    with pytest.raises(ValueError, match=message):
        rule_sheet(**{**arguments, **change})
