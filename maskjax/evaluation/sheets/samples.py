"""Inputs of every kind to show masks on, from what is installed: one photograph, text, sound ..."""

import os
from typing import NamedTuple

import numpy as np

from maskjax.typing import Bool, Float, Int

_RATE = 16_000
_FLOOR_DB = 60.0
_BANDS = 40
# Peterson and Barney 1952, table II, men: the first three formants of five vowels in Hz.
_VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
_UPPER_FORMANTS = (3300, 4200, 5600)  # much the same in all vowels
_SENTENCE = "the man jumped up , put his basket on phil##am##mon ' s head"


class Text(NamedTuple):
    """A tokenised text.

    Attributes:
        pieces: Word pieces; "##" continues a word.
        word_ids: The word of each piece, -1 for special tokens and padding.
    """

    pieces: tuple[str, ...]
    word_ids: Int[np.ndarray, "L"]


class History(NamedTuple):
    """Items in the order of time.

    Attributes:
        items: Names; "" is padding.
        kinds: What sort of item each is, "" for padding.
        is_real: False for padding.
    """

    items: tuple[str, ...]
    kinds: tuple[str, ...]
    is_real: Bool[np.ndarray, "L"]


class Sound(NamedTuple):
    """A sound.

    Attributes:
        wave: In [-1, 1].
        rate: Numbers a second.
        name: What it is.
    """

    wave: Float[np.ndarray, "T"]
    rate: int
    name: str


class Layer(NamedTuple):
    """A trained layer, and what pruning methods ask of its training.

    Attributes:
        weights: One row a class.
        gradients: Of the loss, at these weights.
        movement: Minus the sum over the steps of learning rate * gradient * weight.
        accuracy: On the images that were held out.
    """

    weights: Float[np.ndarray, "classes inputs"]
    gradients: Float[np.ndarray, "classes inputs"]
    movement: Float[np.ndarray, "classes inputs"]
    accuracy: float


def photograph(size: tuple[int, int]) -> Float[np.ndarray, "H W 3"]:
    """Return scikit-learn's photograph of a flower, cut to the aspect ratio and scaled.

    Args:
        size: Height and width in pixels.

    Returns:
        Floats in [0, 1].
    """
    from PIL import Image
    from sklearn.datasets import load_sample_image  # slow to import

    image = Image.fromarray(load_sample_image("flower.jpg"))
    height, width = size
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
    box = (left, top, left + scale * width, top + scale * height)
    scaled = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    return np.asarray(scaled, np.float32) / 255


def sentence() -> Text:
    """Return a sentence of Kingsley's Hypatia (1853) in the word pieces that BERT's README prints.

    Special tokens and two places of padding are around it.
    """
    pieces, word_ids = ["[CLS]"], [-1]
    for number, word in enumerate(_SENTENCE.split()):
        parts = word.replace("##", " ##").split()
        pieces += parts
        word_ids += [number] * len(parts)
    pieces += ["[SEP]", "[PAD]", "[PAD]"]
    return Text(tuple(pieces), np.array(word_ids + [-1] * 3, np.int32))


# English novels by the year in which they were first published; "kind" is the author.
_NOVELS = (
    ("Sense and Sensibility", "Austen"),
    ("Pride and Prejudice", "Austen"),
    ("Mansfield Park", "Austen"),
    ("Emma", "Austen"),
    ("Persuasion", "Austen"),
    ("Frankenstein", "Shelley"),
    ("Pickwick", "Dickens"),
    ("Oliver Twist", "Dickens"),
    ("Nickleby", "Dickens"),
    ("Barnaby Rudge", "Dickens"),
    ("Chuzzlewit", "Dickens"),
    ("Jane Eyre", "Brontë"),
    ("Wuthering Heights", "Brontë"),
    ("Wildfell Hall", "Brontë"),
    ("Shirley", "Brontë"),
    ("Copperfield", "Dickens"),
    ("Villette", "Brontë"),
    ("Bleak House", "Dickens"),
    ("Hard Times", "Dickens"),
    ("Adam Bede", "Eliot"),
    ("Silas Marner", "Eliot"),
    ("Middlemarch", "Eliot"),
)


def history() -> History:
    """Return a reader's history: English novels, 1811 to 1871, in the order of publication.

    The names are initials; two places of padding follow.
    """
    items = ["".join(word[0] for word in title.split()) for title, _ in _NOVELS]
    items = [title[:2] if len(item) == 1 else item for item, (title, _) in zip(items, _NOVELS)]
    kinds = [author for _, author in _NOVELS]
    is_real = np.arange(len(items) + 2) < len(items)
    return History((*items, "", ""), (*kinds, "", ""), is_real)


def vowels() -> Sound:
    """Return 2 s of five vowels in a gliding voice, made of pulses and resonances."""
    from scipy.signal import lfilter  # slow to import

    length = 2 * _RATE // len(_VOWELS)
    pitch = np.linspace(140, 90, length * len(_VOWELS))  # Hz
    is_pulse = np.diff(np.floor(np.cumsum(pitch) / _RATE), prepend=0) > 0
    noise = np.random.default_rng(0).normal(0, 0.02, is_pulse.shape)
    source = np.asarray(lfilter([1], [1, -0.95], is_pulse + noise))
    parts = []
    for number, formants in enumerate(_VOWELS.values()):
        part = source[number * length : (number + 1) * length]
        for formant in (*formants, *_UPPER_FORMANTS):
            radius, angle = np.exp(-np.pi * 90 / _RATE), 2 * np.pi * formant / _RATE
            resonance = [1, -2 * radius * np.cos(angle), radius**2]
            part = np.asarray(lfilter([1 - radius], resonance, part))
        parts.append(part / abs(part).max() * np.hanning(length) ** 0.3)
    return Sound(np.concatenate(parts), _RATE, "A generated sound, five vowels, no recording")


def recorded(path: str | os.PathLike) -> Sound:
    """Read a recording.

    Args:
        path: A WAV file of numbers that are not compressed.

    Returns:
        The mean of its channels.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such WAV file, or shorter than 0.1 s.
    """
    from scipy.io import wavfile  # slow to import

    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    try:
        rate, wave = wavfile.read(path)
    except Exception as error:  # struct.error, ValueError, EOFError: whatever the bytes lead to
        raise ValueError(f"{path} cannot be read as a WAV file: {error}") from error
    wave = wave.reshape(len(wave), -1)
    if wave.dtype == np.uint8:
        wave = (wave.astype(np.float64) - 128) / 128
    elif wave.dtype.kind == "i":
        wave = wave / np.iinfo(wave.dtype).max
    if len(wave) < rate / 10:
        raise ValueError(f"{path} lasts {len(wave) / rate:.2f} s; at least 0.1 s are needed")
    return Sound(wave.mean(axis=1).astype(np.float64), rate, os.path.basename(path))


def spectrogram(sound: Sound, num_frames: int = 200) -> Float[np.ndarray, "frames bands"]:
    """Return the loudness in 40 mel bands, in windows of 25 ms every 10 ms.

    Args:
        sound: At least one window long.
        num_frames: Most frames; of a longer sound the middle is taken.

    Returns:
        Decibels below the loudest, from -60 to 0.
    """
    wave, rate, _ = sound
    window, hop = int(0.025 * rate), int(0.01 * rate)
    frames = np.lib.stride_tricks.sliding_window_view(wave, window)[::hop]
    first = max(0, (len(frames) - num_frames) // 2)
    frames = frames[first : first + num_frames] * np.hanning(window)
    num_points = 1 << (2 * window - 1).bit_length()
    power = abs(np.fft.rfft(frames, num_points)) ** 2
    loudness = 10 * np.log10(power @ _mel_filters(num_points, rate) + 1e-20)
    return np.clip(loudness - loudness.max(), -_FLOOR_DB, 0).astype(np.float32)


def _mel_filters(num_points: int, rate: int) -> Float[np.ndarray, "bins bands"]:
    """Triangles that are equally wide on the mel scale, up to 8 kHz."""
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    highest = mel(min(8000, rate / 2))
    edges = 700 * (10 ** (np.linspace(mel(60), highest, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(num_points, 1 / rate)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


def trained_layer(num_steps: int = 200, learning_rate: float = 0.5) -> Layer:
    """Return softmax regression on scikit-learn's digits, trained by gradient descent.

    Args:
        num_steps: On all training images at once.
        learning_rate: Of each step.

    Returns:
        The layer, 10 classes by 64 pixels; every fifth image was held out.
    """
    from sklearn.datasets import load_digits  # slow to import

    images, labels = load_digits(return_X_y=True)
    is_held_out = np.arange(len(labels)) % 5 == 0
    x, label = images[~is_held_out] / 16, labels[~is_held_out]
    weights = np.random.default_rng(0).normal(0, 0.01, (10, 64))
    movement = np.zeros_like(weights)
    for _ in range(num_steps):
        gradients = _gradients(weights, x, label)
        movement -= learning_rate * gradients * weights
        weights = weights - learning_rate * gradients
    scores = images[is_held_out] @ weights.T
    accuracy = float((scores.argmax(axis=1) == labels[is_held_out]).mean())
    gradients = _gradients(weights, x, label)
    weights, gradients, movement = np.array([weights, gradients, movement], np.float32)
    return Layer(weights, gradients, movement, accuracy)


def _gradients(weights: np.ndarray, x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy."""
    logits = x @ weights.T
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(len(label)), label] -= 1
    return chances.T @ x / len(x)


def patch_looks(
    image: Float[np.ndarray, "H W C"], grid: tuple[int, int]
) -> dict[str, Float[np.ndarray, "L"]]:
    """Return numbers that a picture gives for each of its patches, in raster order.

    Args:
        image: Floats in [0, 1].
        grid: Patches along each axis; they divide the image.

    Returns:
        "brightness", the mean of a patch; "contrast", the standard deviation of its grey values;
        "bright_share", the share of pixels that are brighter than the picture's mean.
    """
    grey = image.mean(axis=-1)
    rows, columns = grid
    patches = grey.reshape(rows, len(grey) // rows, columns, -1).swapaxes(1, 2)
    patches = patches.reshape(rows * columns, -1)
    return {
        "brightness": patches.mean(axis=1),
        "contrast": patches.std(axis=1),
        "bright_share": (patches > grey.mean()).mean(axis=1, dtype=np.float32),
    }
