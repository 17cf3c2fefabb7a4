"""Tiny data sets that tests write themselves."""

import numpy as np
import pytest
from PIL import Image

from maskjax import data


@pytest.fixture
def indexed(tmp_path):
    """Build an `array:` data set whose example i is filled with i and has label i."""

    def make(count=50, eval_count=7, batch_size=8, seed=0, build=None, **config):
        path = tmp_path / f"indexed-{count}-{eval_count}.npz"
        values = np.arange(count + eval_count, dtype=np.uint8)
        x = np.broadcast_to(values[:, None, None, None], (count + eval_count, 4, 4, 1))
        np.savez(path, x_train=x[:count], y_train=values[:count], x_validation=x[count:],
                 y_validation=values[count:])  # fmt: skip
        config = {"source": f"array:{path}", "mean": (0,), "std": (1,), **config}
        return data.build(config, seed=seed, batch_size=batch_size, **(build or {}))

    return make


@pytest.fixture
def photo():
    """Return a smooth colour picture [120, 160, 3] uint8."""
    rows, columns = np.mgrid[0:120, 0:160]
    waves = [np.sin(rows / 9 + c) * np.cos(columns / 13 - c) for c in range(3)]
    return ((np.stack(waves, -1) + 1) * 127.5).astype(np.uint8)


@pytest.fixture
def image_folder(tmp_path):
    """Write files into a folder: {relative name: (mode, (height, width))} -> its path."""

    def make(files, name="images"):
        root = tmp_path / name
        for seed, (file, (mode, (height, width))) in enumerate(files.items()):
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
            Image.fromarray(noise).convert("RGB" if mode == "P" else mode).convert(mode).save(path)
        return root

    return make
