"""Rules are drawn by being registered, with the arguments that they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.evaluation.sheets import catalogue, rule_masks, samples, structures
from maskjax.masking import attention

KEYS = jax.random.split(jax.random.key(0), 4)


def _keep_only(monkeypatch, *names):
    """No rule but these, and those that the test registers from here on."""
    rules = {name: masking.RULES[name] for name in names}
    monkeypatch.setattr(masking.registry, "RULES", rules)


@pytest.fixture
def two_rules(monkeypatch):
    """Every other token, and what the phase of the moon says; and no rule but them and `random`."""
    _keep_only(monkeypatch, "random")

    @masking.register("every_other", on=("text", "sequence"))
    def every_other(key, grid, num_masked, *, word_ids=None):
        return 1.0 + jnp.arange(masking.grid_length(grid)) % 2

    @masking.register("lunar", on=("text", "image"))
    def lunar(key, grid, num_masked, *, moonlight):
        return moonlight


def test_a_new_rule_is_on_its_sheets_by_being_registered(two_rules):
    figure = dict(catalogue.sheets(["text"]))["text"]
    texts = [text.get_text() for text in figure.texts]
    assert texts[:5] == ["every_other", "5 of 15 hidden", "lunar", "random", "5 of 15 hidden"]
    assert "needs moonlight" in " ".join(figure.axes[4].texts[0].get_text().split())
    assert masking.rules_on("image") == ["lunar", "random"]
    assert masking.rules_on("sequence") == ["every_other", "random"]


def test_rules_are_drawn_exactly_or_by_their_choice():
    runtime = rule_masks.repeated(4, log_weights=np.zeros(40), probabilities=np.full(40, 0.3))
    names = ["random", "weighted", "token_probabilities", "mask_last"]
    exact = rule_masks.rule_masks(names, KEYS, (40,), 10, runtime)
    chosen = rule_masks.rule_masks(names, KEYS, (40,), 10, runtime, by_choice=True)
    assert all((exact[name].sum(axis=1) == 10).all() for name in names)
    # Neither of these two chooses, though scores of `weighted` may be above 1; the others do.
    for name in ("random", "weighted"):
        np.testing.assert_array_equal(chosen[name], exact[name])
    assert len(set(chosen["token_probabilities"].sum(axis=1).tolist())) > 1
    assert np.flatnonzero(chosen["mask_last"][0]).tolist() == list(range(30, 40))


def test_wrong_options_of_one_rule_leave_the_others_drawn():
    options = {"block": {"min_aera": 2}, "multi_block": {"target_scale": ("x", "y")}}
    names = ["block", "multi_block", "random"]
    masks = rule_masks.rule_masks(names, KEYS, (4, 4), 8, {}, options=options)
    assert "no option 'min_aera' (did you mean 'min_area'?)" in masks["block"]
    assert isinstance(masks["multi_block"], str)
    assert (masks["random"].sum(axis=(1, 2)) == 8).all()


def test_options_candidates_and_rows_reach_the_rules():
    is_candidate = np.arange(12) < 6
    runtime = rule_masks.repeated(4, is_candidate=is_candidate)
    runtime["step"] = rule_masks.steps(4, 12)
    options = {"sliding": {"stride": 2}}
    masks = rule_masks.rule_masks(["random", "sliding"], KEYS, (12,), 3, runtime, options=options)
    assert not masks["random"][:, 6:].any()
    # The window starts at position 2 * step and skips what must stay visible.
    hidden = [set(np.flatnonzero(row)) for row in masks["sliding"]]
    assert hidden == [{0, 1, 2}, {2, 3, 4}, {4, 5, 0}, {0, 1, 2}]


def test_a_rule_that_does_not_fit_the_grid_says_so():
    masks = rule_masks.rule_masks(["tube", "random"], KEYS, (12,), 3, {})
    assert "tube needs a grid (time, *space)" in masks["tube"]
    assert masks["random"].shape == (4, 12)


def test_a_picture_stands_in_for_what_rules_need():
    image = np.zeros((4, 6, 3), np.float32)
    image[:2, :2] = 1
    runtime = rule_masks.picture_runtime(image, (2, 3), 4)
    assert all(value.shape == (4, 6) for value in runtime.values())
    assert all(bool(jnp.isfinite(value).all()) for value in runtime.values())
    assert runtime["log_weights"][0].argmax() == runtime["coverage"][2].argmax() == 0
    black = rule_masks.picture_runtime(np.zeros_like(image), (2, 3), 4)
    assert all(bool(jnp.isfinite(value).all()) for value in black.values())


@pytest.mark.parametrize("modality", masking.MODALITIES)
def test_a_sheet_has_what_every_rule_of_its_modality_needs(modality, monkeypatch):
    drawn = []

    def take(names, keys, grid, num_masked, runtime, **_):
        drawn.extend(names)
        for name in names:
            rule_masks.arguments_of(masking.make_rule(name), runtime)
        return {name: np.zeros((len(keys), *grid), bool) for name in names}

    monkeypatch.setattr(catalogue, "rule_masks", take)
    monkeypatch.setattr(structures, "rule_masks", take)
    ((name, figure),) = catalogue.sheets([modality])
    titles = [text.get_text().split(":")[0] for text in figure.texts]
    assert name == modality
    assert sorted(set(drawn)) == masking.rules_on(modality)
    assert set(titles) >= set(drawn)


@pytest.mark.parametrize("kind", ["image", "text", "frames", "spectrogram", "sequence"])
def test_every_registered_rule_hides_something_and_not_all(kind):
    keys, loudness = KEYS[:2], np.linspace(0, 1, 100, dtype=np.float32)
    if kind == "image":
        hidden = catalogue._image_masks(keys, samples.photograph((24, 32)), (6, 8))
    elif kind == "text":
        hidden = catalogue._text_masks(keys, samples.sentence())
    elif kind == "sequence":
        hidden = catalogue._sequence_masks(keys, samples.history())
    else:
        hidden = catalogue._sound_masks(
            keys, loudness if kind == "frames" else loudness.reshape(20, 5)
        )
    modality = {"frames": "audio", "spectrogram": "audio"}.get(kind, kind)
    assert sorted(hidden) == masking.rules_on(modality)
    explained = {name: flags for name, flags in hidden.items() if isinstance(flags, str)}
    assert not explained
    for name, flags in hidden.items():
        assert len(flags) == len(keys)
        assert 0 < flags.sum() < flags.size, name


def test_hints_differ_between_samples(monkeypatch):
    monkeypatch.setattr(masking, "rules_on", lambda _: ["attention_guided"])
    hidden = catalogue._image_masks(KEYS, samples.photograph((24, 32)), (6, 8))
    rows = hidden["attention_guided"].reshape(len(KEYS), -1)
    assert len({row.tobytes() for row in rows}) > 1
    assert (rows.sum(axis=1) == 28).all()


def test_a_rule_for_frequencies_that_lacks_something_says_so(monkeypatch):
    _keep_only(monkeypatch, "frequency_band")

    @masking.register("tidal", on=("frequency",))
    def tidal(key, grid, num_masked, *, moonlight):
        return moonlight

    figure = structures.frequency(KEYS[:1])
    names = [text.get_text() for text in figure.texts if text.get_weight() == "bold"]
    bands = [f"frequency_band: {band}" for band in masking.frequency.BANDS]
    assert names == [*bands, "tidal"]
    *tiles, explanation = figure.axes
    assert len(tiles) == 2 * len(bands)
    assert "needs moonlight" in " ".join(explanation.texts[0].get_text().split())


def test_every_registered_attention_mask_is_drawn():
    figure = structures.attention(KEYS[:3])
    texts = [text.get_text() for text in figure.texts]
    assert texts[: len(attention.ATTENTION)] == sorted(attention.ATTENTION)
    assert not any(axes.texts for axes in figure.axes)  # none is explained away


def test_every_region_is_drawn_of_the_photograph():
    figure = structures.regions()
    names = [text.get_text() for text in figure.texts if text.get_weight() == "bold"]
    assert {"ellipse", "polygon", "otsu_level", "dilate", "blend", "crop"} <= set(names)
    assert len(names) == len(figure.axes) == len({axes.images[0] for axes in figure.axes})
    shares = [text.get_text() for text in figure.texts if text.get_text().endswith("inside")]
    assert all(0 < int(share.split("%")[0]) < 100 for share in shares)


def test_every_fill_is_drawn():
    figure = structures.fills(KEYS[:2])
    names = [text.get_text() for text in figure.texts if text.get_weight() == "bold"]
    assert set(names) == {name for name in masking.__all__ if name.startswith("fill_")}
    pictures = {np.asarray(axes.images[0].get_array()).tobytes() for axes in figure.axes}
    assert len(pictures) == len(figure.axes) - 1  # a gate is the same in both samples


def test_an_unknown_sheet_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown sheet 'texts'; known: image, text, audio"):
        next(catalogue.sheets(["texts"]))


def test_masks_on_sounds_have_time_to_the_right_and_high_bands_on_top():
    frames, patches = np.zeros((1, 8), bool), np.zeros((1, 2, 3), bool)
    frames[0, 1] = patches[0, 1, 2] = True
    pixels = catalogue._spread([frames, patches, "no grid"], (8, 12))
    assert pixels.shape == (2, 12, 8)
    np.testing.assert_array_equal(np.argwhere(pixels[0])[:, 1], 1)
    assert pixels[0].sum() == 12
    assert pixels[1, :4, 4:].all()
    assert pixels[1].sum() == 16
    assert catalogue._spread(["no grid"], (8, 12)) is None


def test_the_sound_of_the_sheet_is_named(monkeypatch):
    monkeypatch.setattr(masking, "rules_on", lambda _: ["sliding"])
    sound = samples.Sound(np.random.default_rng(0).normal(size=4000), 8000, "a.wav")
    figure = catalogue.SHEETS["audio"](KEYS, sound)
    assert any("a.wav: 48 frames" in text.get_text() for text in figure.texts)
