"""Training batches of maskjax beside torchvision's, from the same JPEGs on the same machine.

    pip install torch torchvision
    python tests/benchmarks/compare_loaders.py --rounds=5

2000 pictures of 500x375, random resized crop to 224 and flip, batches of 64, as long as `--batches`
says after a few to warm up. One process after the other in each round, so that all see the same
machine; what counts is the median over rounds.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rounds
from PIL import Image

COUNT, BATCH, SIDE, WARM_UP = 2000, 64, 224, 4
SIDES = ("maskjax 0", "maskjax 2", "torch 2")  # name and worker processes; 0 has threads


def write_pictures(folder: Path) -> None:
    """Write smooth pictures with some noise, about 70 KB each."""
    rng = np.random.default_rng(0)
    (folder / "a").mkdir(parents=True)
    for index in range(COUNT):
        coarse = rng.integers(0, 256, (24, 32, 3), np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC))
        noisy = np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "a" / f"{index:04}.jpg", quality=90)


def maskjax_batches(folder: Path, workers: int):
    """Batches as the trainer reads them."""
    from maskjax import data

    config = {
        "source": f"folder:{folder}", "size": (SIDE, SIDE), "channels": 3, "flip": True,
        "crop_scale": (0.2, 1.0), "mean": (0.5,), "std": (0.25,), "num_workers": workers,
        "validation_fraction": 0,
        "test_fraction": 0,
    }  # fmt: skip
    built = data.build(config, seed=0, batch_size=BATCH, is_compact=True)
    return built.train_batches()


def torch_batches(folder: Path, workers: int):
    """Batches as the reference of MAE reads them."""
    import torch
    from torchvision import datasets, transforms

    interpolation = transforms.InterpolationMode.BICUBIC
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE, scale=(0.2, 1.0), interpolation=interpolation),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    images = datasets.ImageFolder(str(folder), transform)
    loader = torch.utils.data.DataLoader(
        images, BATCH, shuffle=True, num_workers=workers, drop_last=True
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))


def _python(side: str, options: argparse.Namespace) -> str:
    return options.torch_python if side.startswith("torch") else sys.executable


def main() -> None:
    """Compare, or with `--side` time one side alone and print images a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--torch_python", default=sys.executable, help="where torchvision is")
    options = parser.parse_args()
    if options.side:
        name, workers = options.side.split()
        make = maskjax_batches if name == "maskjax" else torch_batches
        batches = iter(make(options.folder, int(workers)))
        for _ in range(WARM_UP):
            next(batches)
        start = time.perf_counter()
        for _ in range(options.batches):
            next(batches)
        print(json.dumps(options.batches * BATCH / (time.perf_counter() - start)), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "pictures"
        if not folder.is_dir():
            write_pictures(folder)
        flags = [f"--folder={folder}", f"--batches={options.batches}"]
        commands = {
            side: [_python(side, options), __file__, f"--side={side}", *flags] for side in SIDES
        }
        found = rounds.alternate(commands, options.rounds)
    base = statistics.median(found["torch 2"])
    for side, speeds in found.items():
        median = statistics.median(speeds)
        print(f"{side:<10} {median:7.0f} images/s  {median / base:.2f}  {sorted(map(int, speeds))}")


if __name__ == "__main__":
    main()
