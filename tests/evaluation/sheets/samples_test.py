"""Sample inputs are what they are said to be."""

import numpy as np
import pytest
from scipy.io import wavfile
from sklearn.datasets import load_digits, load_sample_image

from maskjax.evaluation.sheets import samples


def test_the_photograph_is_cut_to_the_aspect_ratio_and_keeps_its_colours():
    whole = load_sample_image("flower.jpg").astype(np.float32) / 255  # 427 x 640
    for size, columns in (((224, 224), slice(106, 533)), ((64, 96), slice(0, 640))):
        picture = samples.photograph(size)
        assert picture.shape == (*size, 3)
        assert 0 <= picture.min() <= picture.max() <= 1
        np.testing.assert_allclose(
            picture.mean(axis=(0, 1)), whole[:, columns].mean(axis=(0, 1)), atol=0.01
        )


def test_pieces_of_one_word_share_its_id():
    text = samples.sentence()
    words = {}
    for piece, word in zip(text.pieces, text.word_ids):
        if word >= 0:
            words.setdefault(int(word), []).append(piece)
        else:
            assert piece in ("[CLS]", "[SEP]", "[PAD]")
    joined = ["".join(pieces).replace("##", "") for pieces in words.values()]
    assert " ".join(joined) == "the man jumped up , put his basket on philammon ' s head"
    assert all(
        [piece.startswith("##") for piece in pieces] == [False] + [True] * (len(pieces) - 1)
        for pieces in words.values()
    )
    real = text.word_ids[text.word_ids >= 0]
    assert (np.diff(real) >= 0).all()


def test_a_history_is_padded_behind_its_items():
    history = samples.history()
    assert len(history.items) == len(history.kinds) == len(history.is_real)
    assert [item != "" for item in history.items] == history.is_real.tolist()
    assert [kind != "" for kind in history.kinds] == history.is_real.tolist()
    assert (np.diff(history.is_real.astype(int)) <= 0).all()


def test_vowels_have_their_published_formants():
    wave, rate, _ = samples.vowels()
    assert len(wave) == 2 * rate
    part = wave[: len(wave) // 5]  # "a": 730 and 1090 Hz
    power = abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
    hertz = np.fft.rfftfreq(len(part), 1 / rate)
    band = lambda low, high: power[(hertz >= low) & (hertz < high)].mean()  # noqa: E731
    assert band(600, 1250) > 30 * band(1500, 2100)
    assert band(2250, 2600) > band(1600, 2000)


def test_a_tone_is_loudest_in_its_mel_band_and_half_of_it_is_6_decibels_less():
    rate = 16_000
    time = np.arange(2 * rate) / rate
    loud = np.where(time < 1, 1.0, 0.5) * np.sin(2 * np.pi * 1000 * time)
    frames = samples.spectrogram(samples.Sound(loud, rate, "tone"), num_frames=10**6)
    assert frames.shape == (198, 40)
    edges = np.linspace(*(2595 * np.log10(1 + hertz / 700) for hertz in (60, 8000)), 42)
    centres = 700 * (10 ** (edges[1:-1] / 2595) - 1)
    assert (frames.argmax(axis=1) == abs(centres - 1000).argmin()).all()
    assert frames.max() == 0
    assert frames.min() == -60
    difference = frames[20].max() - frames[-20].max()
    assert difference == pytest.approx(20 * np.log10(2), abs=0.05)
    some = samples.spectrogram(samples.Sound(loud, rate, "tone"), num_frames=50)
    np.testing.assert_allclose(some.argmax(axis=1), frames[74:124].argmax(axis=1))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_recordings_of_any_width_are_read(dtype, tmp_path):
    rate = 8000
    wave = 0.5 * np.sin(2 * np.pi * 100 * np.arange(rate // 2) / rate)
    stored = {
        np.uint8: lambda x: (128 + 128 * x).astype(np.uint8),
        np.int16: lambda x: (32767 * x).astype(np.int16),
        np.int32: lambda x: (2147483647 * x).astype(np.int32),
        np.float32: lambda x: x.astype(np.float32),
    }[dtype]
    wavfile.write(tmp_path / "mono.wav", rate, stored(wave))
    wavfile.write(tmp_path / "both.wav", rate, stored(np.stack([wave, -wave], axis=1)))
    mono, both = (samples.recorded(tmp_path / f"{name}.wav") for name in ("mono", "both"))
    assert (mono.rate, mono.name) == (rate, "mono.wav")
    np.testing.assert_allclose(mono.wave, wave, atol=0.01)
    np.testing.assert_allclose(both.wave, 0, atol=0.01)


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.wav: no such file"):
        samples.recorded(tmp_path / "absent.wav")
    for content in (b"", b"not a sound", b"RIFF"):
        (tmp_path / "broken.wav").write_bytes(content)
        with pytest.raises(ValueError, match=r"broken\.wav cannot be read as a WAV file"):
            samples.recorded(tmp_path / "broken.wav")
    wavfile.write(tmp_path / "short.wav", 8000, np.zeros(100, np.int16))
    with pytest.raises(ValueError, match=r"short\.wav lasts 0\.01 s"):
        samples.recorded(tmp_path / "short.wav")


def _loss(weights):
    """Mean cross-entropy on the training images, one by one."""
    digits = load_digits()
    total, count = 0.0, 0
    for number, (image, label) in enumerate(zip(digits.data, digits.target)):
        if number % 5:
            logits = weights @ image / 16
            total += np.log(np.exp(logits).sum()) - logits[label]
            count += 1
    return total / count


def test_the_layer_is_trained_and_knows_its_gradients():
    layer = samples.trained_layer()
    assert layer.accuracy > 0.9
    for place in ((3, 20), (8, 36)):
        step = np.zeros((10, 64))
        step[place] = 1e-3
        slope = (_loss(layer.weights + step) - _loss(layer.weights - step)) / 2e-3
        assert layer.gradients[place] == pytest.approx(slope, abs=1e-6)


def test_movement_sums_what_each_step_moved():
    # From small weights one step: movement = -rate * gradient * weight = (new - old) * old.
    before = np.random.default_rng(0).normal(0, 0.01, (10, 64))
    layer = samples.trained_layer(num_steps=1)
    np.testing.assert_allclose(layer.movement, (layer.weights - before) * before, atol=1e-6)


def test_patch_looks_by_a_loop():
    image = np.random.default_rng(0).random((4, 6, 3), dtype=np.float32)
    looks = samples.patch_looks(image, (2, 3))
    grey = image.mean(axis=2)
    for place, (row, column) in enumerate(np.ndindex(2, 3)):
        patch = grey[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert looks["brightness"][place] == pytest.approx(patch.mean())
        assert looks["contrast"][place] == pytest.approx(patch.std())
        assert looks["bright_share"][place] == (patch > grey.mean()).mean()
