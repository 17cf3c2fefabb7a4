import itertools
import sys

import numpy as np
import pytest

from maskjax.evaluation import figure_pixels, reconstruction_panel
from maskjax.evaluation.figures.canvas import BROKEN, HIDDEN
from maskjax.evaluation.figures.reconstruction import TITLES


def columns(*shape, seed=0, hidden_from=None):
    """Four arrays [N, *shape] in [0, 1]; the first positions of axis 1 are seen."""
    rng = np.random.default_rng(seed)
    original, prediction = rng.random((2, *shape), dtype=np.float32)
    hidden_from = shape[1] // 2 if hidden_from is None else hidden_from
    seen, pasted = original.copy(), original.copy()
    seen[:, hidden_from:] = np.nan
    pasted[:, hidden_from:] = prediction[:, hidden_from:]
    return original, seen, prediction, pasted


def drawn_images(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_grey_images_are_drawn_unchanged_row_by_row():
    arrays = columns(3, 6, 8, 1)
    figure = reconstruction_panel(*arrays, dim_visible=False)
    images = drawn_images(figure)
    assert len(images) == 3 * 4
    for row in range(3):
        for column in (0, 2, 3):
            drawn = images[4 * row + column]
            np.testing.assert_array_equal(drawn, arrays[column][row].repeat(3, axis=-1))
        seen = images[4 * row + 1]
        np.testing.assert_array_equal(seen[:3], arrays[0][row, :3].repeat(3, axis=-1))
        np.testing.assert_array_equal(seen[3:] - np.float32(HIDDEN), np.zeros((3, 8, 3)))


def test_colour_images_are_drawn_unchanged_and_values_outside_are_clipped():
    original, seen, prediction, pasted = columns(1, 5, 4, 3)
    prediction = 3 * prediction - 1
    images = drawn_images(
        reconstruction_panel(original, seen, prediction, pasted, dim_visible=False)
    )
    np.testing.assert_array_equal(images[0], original[0])
    np.testing.assert_array_equal(images[2], np.clip(prediction[0], 0, 1))
    assert images[2].min() == 0
    assert images[2].max() == 1


def test_cells_keep_the_proportions_of_the_image():
    figure = reconstruction_panel(*columns(2, 10, 25, 1))
    full_width, full_height = figure.get_size_inches()
    for axes in figure.axes:
        box = axes.get_position()
        assert box.width * full_width == pytest.approx(2.5 * box.height * full_height)


def test_nothing_overlaps_and_rows_and_columns_align():
    figure = reconstruction_panel(*columns(3, 8, 8, 3), labels=["a", "long label", "c"])
    boxes = [axes.get_position() for axes in figure.axes]
    for i, first in enumerate(boxes):
        assert 0 < first.x0 < first.x1 < 1
        assert 0 < first.y0 < first.y1 < 1
        assert not any(first.overlaps(second) for second in boxes[i + 1 :])
        assert first.y0 == pytest.approx(boxes[i - i % 4].y0)
        assert first.x0 == pytest.approx(boxes[i % 4].x0)


def test_titles_of_narrow_pictures_stand_apart_and_within_the_figure():
    figure = reconstruction_panel(*columns(1, 16, 4, 3))
    figure_pixels(figure)
    titles = [text for text in figure.texts if text.get_text() in TITLES]
    boxes = [title.get_window_extent() for title in titles]
    assert boxes[-1].x1 < figure.get_size_inches()[0] * figure.dpi
    assert all(first.x1 < second.x0 for first, second in itertools.pairwise(boxes))
    for box, axes in zip(boxes, figure.axes, strict=True):
        picture = axes.get_window_extent()
        assert picture.x0 + picture.x1 == pytest.approx(box.x0 + box.x1, abs=2)


def test_dark_pictures_are_brightened_together_and_it_is_said():
    arrays = [array / 16 for array in columns(1, 4, 4, 1)]  # 12 bits in 16
    arrays[0][0, 0, 0] = 1 / 16
    figure = reconstruction_panel(*arrays, dim_visible=False)
    for drawn, array in zip(drawn_images(figure), (arrays[0], None, *arrays[2:])):
        if array is not None:
            expected = np.clip(16 * array[0], 0, 1).repeat(3, axis=-1)
            np.testing.assert_allclose(drawn, expected, rtol=0.02)
    assert any(text.startswith("Brightened: white stands for 0.06") for text in texts(figure))
    black = [np.zeros_like(array) for array in arrays]
    assert not any(text.startswith("Brightened") for text in texts(reconstruction_panel(*black)))


def test_titles_labels_and_note_are_written():
    note = "Scaled back with the mean and variance of each original patch."
    arrays = columns(2, 4, 4, 1)
    figure = reconstruction_panel(*arrays, labels=["one", "two"], note=note)
    written = texts(figure)
    assert [text for text in written if text in TITLES] == list(TITLES)
    assert "one" in written
    assert "two" in written
    assert note in " ".join(written)
    custom = reconstruction_panel(*arrays, titles=["w", "x", "y", "z"], dim_visible=False)
    assert texts(custom) == ["w", "x", "y", "z"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("$100_vs_$200.png", "$100_vs_$200.png"),
        ("M\udcfcnchen.png", r"M\xfcnchen.png"),  # Latin-1, as Python gives the name of a file
        ("München №1.png", "München №1.png"),
        ("\U000f0000 \ue000.png", r"\U000f0000 \ue000.png"),  # private: no font has them
        ("two\nlines\t.png", r"two\nlines\t.png"),
        ("a  b_^{c}.png", "a  b_^{c}.png"),
        ("x" * 100 + ".png", "x" * 13 + "…" + "x" * 22 + ".png"),
    ],
)
def test_labels_are_written_as_they_are_and_beside_the_pictures(name, written):
    figure = reconstruction_panel(*columns(1, 4, 4, 1), labels=[name])
    figure_pixels(figure)  # glyphs that are missing would be a warning, and fail
    (label,) = [text for text in figure.texts if text.get_text() == written]
    box = label.get_window_extent()
    assert box.x0 > 0
    assert box.x1 < figure.axes[0].get_window_extent().x0
    assert box.height < 0.2 * figure.dpi  # one line


def test_two_channels_are_their_mean_and_five_the_first_three():
    arrays = columns(1, 4, 4, 2)
    figure = reconstruction_panel(*arrays)
    mean = arrays[0][0].mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    np.testing.assert_array_equal(drawn_images(figure)[0], mean)
    assert "Of 2 channels: their mean." in texts(figure)
    arrays = columns(1, 4, 4, 5)
    figure = reconstruction_panel(*arrays)
    np.testing.assert_array_equal(drawn_images(figure)[0], arrays[0][0, ..., :3])
    assert any(text.startswith("Of 5 channels: channels 0 to 2") for text in texts(figure))


def test_predictions_that_are_not_finite_are_not_taken_for_hidden():
    original, seen, prediction, pasted = columns(1, 4, 4, 1)
    prediction[0, 1, 2] = np.nan
    prediction[0, 0, 0] = np.inf
    figure = reconstruction_panel(original, seen, prediction, pasted, dim_visible=False)
    drawn = drawn_images(figure)[2]
    np.testing.assert_array_equal(drawn[1, 2], BROKEN)
    np.testing.assert_array_equal(drawn[0, 0], BROKEN)
    assert any(text.startswith("Magenta") and "not finite" in text for text in texts(figure))


@pytest.mark.parametrize("shape", [(1, 4, 6, 3), (1, 2, 4, 6, 3)])
def test_predictions_of_what_was_visible_are_dimmed_and_it_is_said(shape):
    original, seen, prediction, pasted = columns(*shape)
    figure = reconstruction_panel(original, seen, prediction, pasted)
    shown, pasted_shown = np.split(np.stack(drawn_images(figure)), 4)[2:]
    prediction, is_hidden = prediction.reshape(shown.shape), np.isnan(seen).reshape(shown.shape)
    np.testing.assert_array_equal(shown[is_hidden], prediction[is_hidden])
    expected = 0.2 * prediction + 0.8 * np.array([0.97, 0.92, 0.8])
    np.testing.assert_allclose(shown[~is_hidden], expected[~is_hidden], atol=1e-6)
    np.testing.assert_array_equal(pasted_shown, pasted.reshape(shown.shape))
    said = " ".join(texts(figure))
    assert "Dimmed in the prediction: what the model saw, for which the loss never asks" in said
    told = reconstruction_panel(
        original, seen, prediction.reshape(shape), pasted, dim_visible=False
    )
    assert "Dimmed" not in " ".join(texts(told))


def test_predicted_signals_are_faint_where_they_were_visible():
    original, seen, prediction, pasted = columns(1, 12, 2)
    axes = reconstruction_panel(original, seen, prediction, pasted).axes[2]
    dotted, faint, full = np.split(np.array(axes.lines), 3)
    for channel in range(2):
        np.testing.assert_array_equal(faint[channel].get_ydata(), prediction[0, :, channel])
        expected = np.append(np.full(6, np.nan), prediction[0, 6:, channel])
        np.testing.assert_array_equal(full[channel].get_ydata(), expected)
        assert faint[channel].get_alpha() < 0.3
        assert full[channel].get_alpha() == 1
        assert dotted[channel].get_linestyle() == ":"


def test_signals_are_lines_one_a_channel_on_one_scale_a_row():
    arrays = columns(2, 12, 3)
    figure = reconstruction_panel(*arrays, dim_visible=False)
    assert len(figure.axes) == 2 * 4
    for i, axes in enumerate(figure.axes):
        row, column = divmod(i, 4)
        lines = axes.lines[-3:]
        for channel, line in enumerate(lines):
            np.testing.assert_array_equal(line.get_ydata(), arrays[column][row, :, channel])
            np.testing.assert_array_equal(line.get_xdata(), np.arange(12))
        assert axes.get_ylim() == figure.axes[4 * row].get_ylim()
        assert len({line.get_color() for line in lines}) == 3
    dotted = figure.axes[2].lines[:3]
    assert len(figure.axes[2].lines) == 6
    for channel, line in enumerate(dotted):
        np.testing.assert_array_equal(line.get_ydata(), arrays[0][0, :, channel])


def test_hidden_spans_of_signals_are_shaded():
    original, seen, prediction, pasted = columns(1, 12, 1, hidden_from=12)
    seen[0, 2:5] = np.nan
    seen[0, 10:] = np.nan
    figure = reconstruction_panel(original, seen, prediction, pasted)
    assert not figure.axes[0].patches  # of the original nothing is hidden
    for axes in figure.axes[1:]:
        spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
        assert spans == [(1.5, 4.5), (9.5, 11.5)]


def test_hidden_spans_that_hold_noise_are_shaded_where_they_are_told():
    original, _, prediction, pasted = columns(1, 12, 2, hidden_from=12)
    is_hidden = np.zeros((1, 12, 2), bool)
    is_hidden[0, 2:5] = True
    figure = reconstruction_panel(original, original, prediction, pasted, is_hidden=is_hidden)
    for axes in figure.axes[1:]:
        (span,) = axes.patches
        assert (span.get_x(), span.get_width()) == (1.5, 3)
    with pytest.raises(ValueError, match=r"is_hidden has shape \(1, 12\) where original has"):
        reconstruction_panel(original, original, prediction, pasted, is_hidden=is_hidden[..., 0])


def test_lone_visible_points_of_a_signal_are_marked():
    original, seen, prediction, pasted = columns(1, 8, 1, hidden_from=8)
    seen[0, [1, 3, 7]] = np.nan  # leaves 0 and 2 alone, and 4, 5, 6 as a line
    figure = reconstruction_panel(original, seen, prediction, pasted)
    assert figure.axes[1].lines[0].get_markevery() == [0, 2]
    assert figure.axes[0].lines[0].get_markevery() == []


def test_volumes_are_drawn_as_evenly_spaced_slices():
    arrays = columns(2, 10, 4, 6, 1)
    figure = reconstruction_panel(*arrays, num_slices=4)
    images = drawn_images(figure)
    assert len(images) == 2 * 4 * 4
    for place, index in enumerate([0, 3, 6, 9]):
        drawn = images[16 + place]  # the original of the second example
        np.testing.assert_array_equal(drawn, arrays[0][1, index].repeat(3, axis=-1))
    assert "Slices 0, 3, 6, 9 of 0 to 9 along the first axis." in texts(figure)
    np.testing.assert_array_equal(images[7][0, 0], np.float32(HIDDEN))  # slice 9 was not seen


def test_short_volumes_show_each_slice_once():
    assert len(drawn_images(reconstruction_panel(*columns(1, 2, 4, 4, 3)))) == 2 * 4


@pytest.mark.parametrize("shape", [(1, 64, 4, 1), (1, 3, 200, 3), (1, 1, 1, 1), (1, 1, 1)])
def test_extreme_shapes_render(shape):
    pixels = figure_pixels(reconstruction_panel(*columns(*shape)))
    assert pixels.dtype == np.uint8
    assert pixels.min() < 128 < pixels.max()


def test_pyplot_is_not_involved():
    # Another test or plugin may have imported it; then it must not know of the figure.
    figure_pixels(reconstruction_panel(*columns(1, 4, 4, 1)))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("position", "array", "message"),
    [
        (1, np.zeros((2, 4, 5, 1)), r"seen has shape \(2, 4, 5, 1\).*\(2, 4, 4, 1\)"),
        (3, np.zeros((2, 4, 4)), r"pasted has shape \(2, 4, 4\)"),
        (2, np.zeros((2, 4, 4, 1), np.uint8), r"prediction must hold floats.*uint8"),
        (1, np.zeros((2, 4, 4, 1), bool), r"seen must hold floats.*bool"),
    ],
)
def test_mismatched_arrays_are_named(position, array, message):
    arrays = [np.zeros((2, 4, 4, 1))] * 4
    arrays[position] = array
    with pytest.raises(ValueError, match=message):
        reconstruction_panel(*arrays)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 4), {}, r"signals \[T, C\].*\(2, 4\)"),
        ((1, 2, 2, 2, 2, 1), {}, r"\(1, 2, 2, 2, 2, 1\)"),
        ((0, 4, 4, 1), {}, r"nothing to draw in shape \(0, 4, 4, 1\)"),
        ((2, 4, 4, 1), {"labels": ["a"]}, "2 examples need as many labels, got 1"),
        ((2, 4, 4, 1), {"titles": ["a"]}, "4 columns need as many titles, got 1"),
        ((2, 4, 4, 4, 1), {"num_slices": 0}, "num_slices must be at least 1, got 0"),
    ],
)
def test_options_that_do_not_fit_are_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        reconstruction_panel(*[np.zeros(shape)] * 4, **options)
