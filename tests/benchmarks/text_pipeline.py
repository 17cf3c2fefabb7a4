"""Tokens a second that the host makes of an index: packed rows, shuffled, in batches.

python tests/benchmarks/text_pipeline.py [--length=512] [--batch_size=64] [--batches=60]

Texts are generated, their lengths log-normal (median 100 words); the index is made before the clock
starts. Seconds are those of the process on all its threads.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from maskjax import data


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("length", 512), ("batch_size", 64), ("batches", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rng, words = np.random.default_rng(0), [f"w{number}" for number in range(5000)]
        sizes = np.maximum(rng.lognormal(4.6, 0.8, 20_000).astype(int), 1)
        texts = (" ".join(rng.choice(words, size)) for size in sizes)
        (Path(folder) / "texts.txt").write_text("\n\n".join(texts))
        config = {
            "source": f"text:{folder}/texts.txt", "tokenizer": "wordpiece:6000",
            "max_length": asked.length, "index": folder,
        }  # fmt: skip
        stream = data.build(config, seed=0, batch_size=asked.batch_size).train_batches()
        next(stream)
        tokens, cpu, wall = 0, time.process_time(), time.perf_counter()
        for _ in range(asked.batches):
            tokens += int((next(stream)["segment_ids"] > 0).sum())
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    share = tokens / asked.batches / asked.batch_size / asked.length
    print(
        f"rows of {asked.length}: {tokens / wall / 1e6:.2f} M tokens a second,"
        f" {tokens / cpu / 1e6:.2f} M a second of CPU time, rows {share:.1%} full"
    )


if __name__ == "__main__":
    main()
