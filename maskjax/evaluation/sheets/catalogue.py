"""Sheets of masks: every registered rule of a modality on one input.

A rule appears by being registered. A sheet has a dictionary of runtime arguments by the names that
are uniform over `maskjax.masking`, and gives each rule those it takes; a rule that needs another
one is shown as an empty tile that says so (`rule_masks`).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from maskjax import masking
from maskjax.evaluation import figures
from maskjax.evaluation.sheets import samples, structures
from maskjax.evaluation.sheets.rule_masks import (
    picture_runtime,
    repeated,
    rule_masks,
    shares,
    steps,
)
from maskjax.typing import Array, Bool, Float, Key

_SAMPLES = 4
_AUDIO_PATCH = 4
# The hints of attention_guided: without them all samples are the same.
_IMAGE_OPTIONS = {"attention_guided": {"show_ratio": 0.1, "show_max": 0.3}}
_CHOICE = "Rules that choose positions themselves are shown by their choice."
_AUTHORS = {  # the colours that stay apart under colour blindness, as in the other figures
    "Austen": "#E69F00", "Shelley": "#CC79A7", "Dickens": "#56B4E9", "Brontë": "#009E73",
    "Eliot": "#D55E00", "": "#ffffff",
}  # fmt: skip


def sheets(
    names: Sequence[str] = (), *, seed: int = 0, recording: Path | None = None
) -> Iterator[tuple[str, Figure]]:
    """Draw one sheet after the other.

    Args:
        names: Of SHEETS; none means all.
        seed: Of all masks.
        recording: A WAV file for the spectrogram; a generated sound otherwise.

    Yields:
        The name of a sheet and its figure.

    Raises:
        FileNotFoundError: There is no such recording.
        ValueError: An unknown name, or a recording that cannot be read.
    """
    for name in names:
        if name not in SHEETS:
            raise ValueError(f"unknown sheet {name!r}; known: {', '.join(SHEETS)}")
    sound = samples.recorded(recording) if recording else samples.vowels()
    keys = jax.random.split(jax.random.key(seed), _SAMPLES)
    for name in names or SHEETS:
        yield name, SHEETS[name](keys, sound)


def _image(keys: Key[Array, "B"], sound: samples.Sound) -> Figure:
    del sound
    image = samples.photograph((224, 320))
    hidden = _image_masks(keys, image, (14, 20))
    return figures.rule_sheet(
        image,
        hidden,
        (16, 16),
        notes=[
            "Exact counts. Brightness gives the weights and, by threshold, the region; contrast "
            "the losses and the attention. attention_guided is drawn with hints."
        ],
    )


def _image_masks(
    keys: Key[Array, "B"], image: Float[np.ndarray, "H W C"], grid: tuple[int, int]
) -> dict[str, Bool[np.ndarray, "B *grid"] | str]:
    """Masks on patches, of which three fifths are hidden."""
    length = grid[0] * grid[1]
    runtime = picture_runtime(image, grid, len(keys)) | {"step": steps(len(keys), length)}
    num_masked = length * 3 // 5
    return rule_masks(
        masking.rules_on("image"), keys, grid, num_masked, runtime, options=_IMAGE_OPTIONS
    )


def _text(keys: Key[Array, "B"], sound: samples.Sound) -> Figure:
    del sound
    text = samples.sentence()
    return figures.token_sheet(
        text.pieces,
        _text_masks(keys, text),
        is_real=text.word_ids >= 0,
        num_columns=2,
        notes=["Weights, losses and probabilities grow with the number of letters. " + _CHOICE],
    )


def _text_masks(
    keys: Key[Array, "B"], text: samples.Text
) -> dict[str, Bool[np.ndarray, "B L"] | str]:
    """Masks on tokens, of which five are hidden."""
    is_word = text.word_ids >= 0
    letters = np.array([len(piece.strip("#")) for piece in text.pieces], np.float32)
    runtime = repeated(
        len(keys),
        is_candidate=is_word,
        word_ids=text.word_ids,
        log_weights=np.log(letters),
        losses=letters,
        attention=letters,
        probabilities=shares(np.where(is_word, letters, 0)),
    )
    runtime["step"] = steps(len(keys), len(is_word))
    return rule_masks(masking.rules_on("text"), keys, (len(is_word),), 5, runtime, by_choice=True)


def _sequence(keys: Key[Array, "B"], sound: samples.Sound) -> Figure:
    del sound
    history = samples.history()
    authors = [author for author in _AUTHORS if author]
    return figures.token_sheet(
        [item or "pad" for item in history.items],
        _sequence_masks(keys, history),
        is_real=history.is_real,
        colors=[_AUTHORS[kind] for kind in history.kinds],
        num_columns=2,
        notes=[
            "A history of English novels in the order of their publication, 1811 to 1871; a colour "
            f"an author ({', '.join(authors)}). Weights, losses and probabilities grow with the "
            "rarity of the author. " + _CHOICE
        ],
    )


def _sequence_masks(
    keys: Key[Array, "B"], history: samples.History
) -> dict[str, Bool[np.ndarray, "B L"] | str]:
    """Masks on items, of which five are hidden."""
    count = {kind: history.kinds.count(kind) for kind in history.kinds}
    rarity = np.array([1 / count[kind] for kind in history.kinds], np.float32)
    runtime = repeated(
        len(keys),
        is_candidate=history.is_real,
        log_weights=np.log(rarity),
        losses=rarity,
        attention=np.arange(len(rarity), dtype=np.float32),
        probabilities=shares(np.where(history.is_real, rarity, 0), 0.2),
    )
    runtime["step"] = steps(len(keys), len(rarity))
    return rule_masks(masking.rules_on("sequence"), keys, rarity.shape, 5, runtime, by_choice=True)


def _audio(keys: Key[Array, "B"], sound: samples.Sound) -> Figure:
    keys = keys[:1]
    loudness = samples.spectrogram(sound)  # [frames, bands]
    side = _AUDIO_PATCH
    loudness = loudness[: len(loudness) // side * side]
    grid = tuple(n // side for n in loudness.shape)
    patches = loudness.reshape(grid[0], side, grid[1], side).mean(axis=(1, 3))
    on_frames = _sound_masks(keys, loudness.mean(axis=1))
    on_patches = _sound_masks(keys, patches)
    hidden = {}
    for name in on_frames:
        flags = [on_frames[name], on_patches[name]]
        pixels = _spread(flags, loudness.shape)
        hidden[name] = flags[0] if pixels is None else pixels
    return figures.matrix_sheet(
        loudness.T[::-1],
        hidden,
        colormap="magma",
        size=(2.3, 0.85),
        notes=[
            f"{sound.name}: {len(loudness)} frames of 10 ms, {loudness.shape[1]} mel bands. Left: "
            f"on frames; right: on patches of {side} frames and {side} bands. Louder weighs more. "
            + _CHOICE
        ],
    )


def _sound_masks(
    keys: Key[Array, "B"], loudness: Float[np.ndarray, "*grid"]
) -> dict[str, Bool[np.ndarray, "B *grid"] | str]:
    """Masks on frames, or on patches of frames and bands; about two fifths are hidden."""
    power = (loudness.reshape(-1) - loudness.min() + 1).astype(np.float32)
    runtime = repeated(
        len(keys),
        log_weights=np.log(power),
        losses=power,
        attention=power,
        probabilities=shares(power),
    )
    runtime["step"] = steps(len(keys), power.size)
    num_masked = power.size * 2 // 5
    # The published 27 of 80 bands are a third; 100 frames would be half of so short a sound.
    widths = {"max_time_share": 0.3, "max_frequency_width": loudness.shape[-1] // 3}
    return rule_masks(
        masking.rules_on("audio"), keys, loudness.shape, num_masked, runtime,
        options={"spec_augment": widths}, by_choice=True,
    )  # fmt: skip


def _spread(
    hidden: Sequence[np.ndarray | str], shape: tuple[int, int]
) -> Bool[np.ndarray, "_ bands frames"] | None:
    """Masks over frames or patches, as pixels: frequencies upwards and time to the right."""
    pixels = []
    for flags in hidden:
        if not isinstance(flags, str):
            flags = flags.reshape(*flags.shape, *(1,) * (3 - flags.ndim))
            for axis, side in enumerate(shape, start=1):
                flags = flags.repeat(side // flags.shape[axis], axis=axis)
            pixels.append(flags.transpose(0, 2, 1)[:, ::-1])
    return np.concatenate(pixels) if pixels else None


def _weights(keys: Key[Array, "B"], sound: samples.Sound) -> Figure:
    del sound
    keys, layer = keys[:1], samples.trained_layer()
    runtime = repeated(
        len(keys), weights=layer.weights, gradients=layer.gradients, movement=layer.movement
    )
    runtime["step"] = steps(len(keys), layer.weights.size)
    grid = layer.weights.shape
    hidden = rule_masks(masking.rules_on("weights"), keys, grid, layer.weights.size // 2, runtime)
    highest = float(abs(layer.weights).max())
    return figures.matrix_sheet(
        layer.weights,
        hidden,
        colormap="RdBu_r",
        limits=(-highest, highest),
        size=(3.2, 0.65),
        notes=[
            "Softmax regression on scikit-learn's digits, 10 classes by 64 pixels; "
            f"{layer.accuracy:.1%} of held-out images are right."
        ],
    )


SHEETS: dict[str, Callable[[Key[Array, "B"], samples.Sound], Figure]] = {
    "image": _image,
    "text": _text,
    "audio": _audio,
    "sequence": _sequence,
    "weights": _weights,
    "attention": lambda keys, _: structures.attention(keys[:3]),
    "regions": lambda keys, _: structures.regions(),
    "frequency": lambda keys, _: structures.frequency(keys[:2]),
    "fills": lambda keys, _: structures.fills(keys[:2]),
}
