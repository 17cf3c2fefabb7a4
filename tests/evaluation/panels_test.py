"""Panels keep what they hold when they are cut, named and drawn."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from maskjax import masking
from maskjax.evaluation import figures, panels
from maskjax.evaluation.figures import panels as drawing

WORDS = ("[PAD]", "the", "cat", "dog", "sat", "ran")


class Units:
    """A vocabulary of six words; arrays of mean 3."""

    def words(self, ids):
        return [WORDS[i] for i in ids]

    def denormalise(self, x):
        return np.asarray(x, np.float32) + 3


TOKENS = panels.TokenPanel(
    seen=jnp.array([[1, -1, 4, 0], [-1, 3, -1, 5]]),
    true=jnp.array([[1, 2, 4, 0], [1, 3, -1, 5]]),
    is_hidden=jnp.array([[0, 1, 0, 0], [1, 0, 1, 0]], bool),
    is_valid=jnp.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool),
    guesses=jnp.zeros((2, 4, 2), int).at[0, 1].set(jnp.array([2, 3])).at[1].set(jnp.array([4, 5])),
    probabilities=jnp.zeros((2, 4, 2)).at[0, 1].set(jnp.array([0.5, 0.25])),
    note="A note.",
)


def test_tokens_are_said_with_what_was_hidden_and_without_padding():
    first, second = panels.in_words(TOKENS, Units())
    assert panels.said(first) == "the [cat: cat 50.0%, dog 25.0%] sat"
    assert panels.said(second) == "[the: sat 0.0%, ran 0.0%] dog [sat 0.0%, ran 0.0%] ran"
    assert [word.position for word in second if not isinstance(word, str)] == [0, 2]


def test_positions_are_counted_from_the_first_that_is_no_padding():
    (line,) = panels.in_words(
        panels.first_rows(TOKENS._replace(is_valid=jnp.array([[0, 1, 1, 0]] * 2, bool)), 1), Units()
    )
    assert panels.said(line) == "[cat: cat 50.0%, dog 25.0%] sat"
    assert line[0].position == 0


def test_the_first_rows_of_a_panel_are_on_the_host_and_words_stay():
    cut = panels.first_rows(TOKENS, 1)
    assert cut.note == "A note."
    for field in cut[:-1]:
        assert isinstance(field, np.ndarray)
        assert len(field) == 1


def _written(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


def test_a_drawing_of_tokens_has_each_word_and_guess_and_colours_right_ones():
    figure = figures.draw_panel(TOKENS, Units(), labels=["one", "two"])
    words = ["the", "cat", "cat 50%", "sat", "the", "sat 0%", "dog", "?", "sat 0%", "ran"]
    assert _written(figure) == words
    colors = {text.get_text(): text.get_color() for axes in figure.axes for text in axes.texts}
    assert colors["cat 50%"] != colors["sat 0%"]
    notes = " ".join(text.get_text() for text in figure.texts)
    assert "one" in notes
    assert "A note." in notes


def test_a_long_text_is_broken_into_lines_that_fit():
    count = 300
    ids = np.full((1, count), 1)
    never = np.zeros((1, count), bool)
    long = panels.TokenPanel(ids, ids, never, ~never, ids[..., None], np.ones((1, count, 1)))
    figure = figures.draw_panel(long, Units())
    assert len(_written(figure)) == count
    assert len(figure.axes) > 5
    for axes in figure.axes:
        right = max(patch.get_x() + patch.get_width() for patch in axes.patches)
        assert right <= axes.get_xlim()[1]


def test_arrays_are_drawn_in_the_units_that_they_were_stored_in(monkeypatch):
    drawn = {}

    def panel(*columns, **options):
        drawn.update(dict(zip(("original", "seen", "prediction", "pasted"), columns)) | options)
        return Figure()

    monkeypatch.setattr(drawing, "reconstruction_panel", panel)
    x = np.arange(6, dtype=np.float32).reshape(1, 3, 2, 1)
    is_hidden = x > 3
    figures.draw_panel(
        panels.ArrayPanel(x, x, x + 1, x + 2, is_hidden, is_hidden, dim_visible=False, note="so"),
        Units(),
    )
    np.testing.assert_array_equal(drawn["original"], x + 3)
    np.testing.assert_array_equal(drawn["seen"], np.where(is_hidden, np.nan, x + 3))
    np.testing.assert_array_equal(drawn["prediction"], x + 4)
    np.testing.assert_array_equal(drawn["pasted"], x + 5)
    assert (drawn["dim_visible"], drawn["note"]) == (False, "so")


def test_the_sheet_shows_every_rule_for_images_with_the_count_that_is_given(monkeypatch):
    shown = {}

    def sheet(image, masks, patch_size):
        shown.update(masks)
        return Figure()

    monkeypatch.setattr(drawing, "rule_sheet", sheet)
    image = np.full((1, 8, 8, 1), -2.5, np.float32)
    figures.draw_panel(panels.RulePanel(image, (2, 2), 12), Units())
    assert set(shown) == set(masking.rules_on("image"))
    for name, is_masked in shown.items():
        assert (is_masked.sum((1, 2)) == 12).all(), name


def test_units_of_another_kind_are_refused():
    class Arrays:
        def denormalise(self, x):
            return x

    with pytest.raises(TypeError, match="TokenPanel needs a processor with `words`"):
        figures.draw_panel(TOKENS, Arrays())


CHANCES = np.array([[0.5, 0.3, 0.1, 0.05, 0.03, 0.02]] * 3, np.float32)
CLASSES = ("cat", "dog", "cow", "owl", "ant", "bee")


def _bars(axes):
    """Name, chance and colour of each class beside an example; the first patch is the frame."""
    names, chances = axes.texts[::2], axes.texts[1::2]
    colors = [patch.get_facecolor()[:3] for patch in axes.patches[1::2]]
    return [(n.get_text(), c.get_text(), x) for n, c, x in zip(names, chances, colors)]


@pytest.mark.parametrize("shape", [(4, 5, 3), (6, 2), (3, 4, 4, 1), (2, 2, 2, 2, 1)])
def test_classes_stand_beside_an_example_with_their_chances_and_the_true_one_in_its_colour(shape):
    inputs = jnp.zeros((3, *shape))
    panel = panels.ClassPanel(inputs, jnp.array([0, 5, -1]), jnp.asarray(CHANCES), CLASSES, "So.")
    figure = figures.draw_panel(panel, Units(), labels=["one", "two", "three"])
    assert len(figure.axes) == (3 if len(shape) > 4 else 6)
    bars = [_bars(axes) for axes in figure.axes if axes.patches]
    assert [name for name, *_ in bars[0]] == ["cat", "dog", "cow", "owl", "ant"]
    assert [name for name, *_ in bars[1]] == ["cat", "dog", "cow", "owl", "bee"]  # the true one
    assert bars[0][0][:2] == ("cat", "50.0%")
    right, wrong, neutral = bars[0][0][2], bars[1][0][2], bars[2][0][2]
    assert len({right, wrong, neutral}) == 3
    assert bars[1][4][2] == right
    words = [text.get_text() for text in figure.texts]
    assert words[:3] == ["one: is cat", "two: is bee", "three"]
    assert words[-1] == "So."


def test_an_example_may_have_several_classes():
    labels = np.array([[1, 1, 0, 0, 0, 0]] * 3)
    panel = panels.ClassPanel(np.zeros((3, 4, 4, 1), np.float32), labels, CHANCES)
    figure = figures.draw_panel(panel, Units())
    assert figure.texts[0].get_text() == "is 0, 1"
    colors = [color for *_, color in _bars(figure.axes[1])]
    assert colors[0] == colors[1] != colors[2]
