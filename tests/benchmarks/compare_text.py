"""A masked language model of BERT's base size, trained on real texts: maskjax beside Hugging Face.

    pip install -e '.[torch]'          # torch and transformers
    python tests/benchmarks/compare_text.py --rounds=3

A step is: hide 15 % of the tokens 80 / 10 / 10, BERT base (12 blocks of width 768, 30,522 ids),
cross-entropy of the hidden ones, backward, AdamW, dropout .1; 8 rows of 512 places, float32. The
texts are Python's own documentation ("prose"), or the docstrings of its standard library, in pieces
of a WordPiece trained on them, and rows are as full as their own lengths make them. "padded" has a
text in each row, "packed" as many as fit, each attending to itself alone; Hugging Face has the
padded ones, once as they are, "hf", and once cut to the longest of the batch, "hf_cut". What counts
are real tokens a second, padding not counted, over the same number of batches; each round times one
in one process after the other.
"""

import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rounds

SIZES = {"base": (8, 512, "base"), "try": (4, 64, "tiny")}
WORKERS = ("padded", "packed", "hf", "hf_cut")
VOCAB, PIECES, RATIO, DROPOUT, BATCHES = 30_522, 8192, 0.15, 0.1, 5


def write_docstrings(folder: Path) -> None:
    """Write a text a line, without their classes."""
    from maskjax.data.text.docstrings import docstrings

    lines = (json.dumps({"text": text.text}) for text in docstrings().read())
    (folder / "docstrings.jsonl").write_text("\n".join(lines))


def configured(size: str, layout: str, folder: Path) -> Any:
    """The config of a run."""
    from maskjax.config import load

    batch_size, length, named = SIZES[size]
    config = load(rounds.ROOT / "configs" / "mlm.py:bert_base")
    config.batch_size, config.model.dtype = batch_size, "float32"
    with config.unlocked():
        config.model.num_ids = VOCAB
    file = folder / "docstrings.jsonl"
    config.data.update(source=f"jsonl:{file}" if file.exists() else "prose")
    config.data.update(tokenizer=f"wordpiece:{PIECES}", max_length=length)
    config.data.update(layout=layout)
    config.model.update(size=named, max_length=length, dropout=DROPOUT)
    config.mask.update(ratio=RATIO, copies=0)
    return config


def save_batches(size: str, folder: Path) -> None:
    """Write the batches that all will have."""
    from maskjax import data

    for layout in WORKERS[:2]:
        config = configured(size, layout, folder)
        stream = data.build(config.data, seed=0, batch_size=config.batch_size).train_batches()
        for number in range(BATCHES):
            np.savez(folder / f"{layout}-{number}.npz", **next(stream))


def saved(folder: Path, layout: str) -> list[dict[str, np.ndarray]]:
    """Read them again."""
    return [dict(np.load(folder / f"{layout}-{number}.npz")) for number in range(BATCHES)]


def time_maskjax(layout: str, size: str, folder: Path, steps: int) -> list[float]:
    """Times of the trainer's own step, on one batch after the other."""
    from maskjax import data, tasks
    from maskjax.tools import benchmark
    from maskjax.training import cpu, parallel, run

    cpu.keep_freed_memory()
    config = configured(size, layout, folder)
    task = tasks.build(config, data.build(config.data, seed=0, batch_size=config.batch_size))
    spread = parallel.Spread(config.num_devices)
    state = spread.replicate(run.initial_state(task, config))
    program = spread.program(run.make_step(task, config, spread.axis_name), donate=True)
    batches = itertools.cycle([spread.split(batch) for batch in saved(folder, layout)])

    def step() -> Any:
        nonlocal state
        state, metrics = program(state, next(batches))
        return metrics["loss"]

    return benchmark.sorted_seconds(step, steps)


def time_torch(layout: str, size: str, folder: Path, steps: int) -> list[float]:
    """Times of a Hugging Face model in eager mode, its masks drawn by NumPy."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    _, length, named = SIZES[size]
    width, depth, heads = {"base": (768, 12, 12), "tiny": (128, 2, 2)}[named]
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=VOCAB, hidden_size=width, num_hidden_layers=depth,
            num_attention_heads=heads, intermediate_size=4 * width,
            max_position_embeddings=length,
        )
    )  # fmt: skip
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    rng, batches = np.random.default_rng(0), itertools.cycle(saved(folder, "padded"))

    def step() -> None:
        batch = next(batches)
        if layout == "hf_cut":
            longest = (batch["segment_ids"] > 0).sum(1).max()
            batch = {
                name: batch[name][:, :longest] for name in ("tokens", "segment_ids", "is_special")
            }
        tokens, free = batch["tokens"].astype(np.int64), ~batch["is_special"]
        hidden = free & (rng.random(tokens.shape) < RATIO)
        kind = rng.random(tokens.shape)
        shown = np.where(hidden & (kind < 0.8), 4, tokens)
        shown = np.where(hidden & (kind >= 0.9), rng.integers(5, VOCAB, tokens.shape), shown)
        optimizer.zero_grad()
        loss = model(
            torch.from_numpy(shown),
            attention_mask=torch.from_numpy((batch["segment_ids"] > 0).astype(np.int64)),
            labels=torch.from_numpy(np.where(hidden, tokens, -100)),
        ).loss
        loss.backward()
        optimizer.step()
        loss.item()

    return rounds.seconds(step, steps)


def main() -> None:
    """Alternate the three, and print a Markdown table."""
    parser = rounds.arguments(__doc__, steps=BATCHES, workers=WORKERS)
    parser.add_argument("--size", choices=list(SIZES), default="base")
    parser.add_argument("--texts", choices=("prose", "docstrings"), default="prose")
    parser.add_argument("--folder", type=Path, help="of the batches, for workers")
    options = parser.parse_args()
    if options.worker:
        time = time_torch if options.worker.startswith("hf") else time_maskjax
        asked = (options.worker, options.size, options.folder, options.steps)
        return rounds.work(time, *asked)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.texts == "docstrings":
            write_docstrings(folder)
        save_batches(options.size, folder)
        own = ["--folder", name, "--size", options.size, "--steps", str(options.steps)]
        commands = {each: [sys.executable, __file__, f"--worker={each}", *own] for each in WORKERS}
        found = rounds.alternate(commands, options.rounds)
        batch_size, length, _ = SIZES[options.size]
        print(f"BERT {options.size}, {batch_size} rows of {length}, {options.texts}\n")
        print("| | rows full | step, s | real tokens a second | beside Hugging Face |")
        print("|---|---|---|---|---|")
        full, speeds = {}, {}
        for each in WORKERS:
            batches = saved(folder, "packed" if each == "packed" else "padded")
            tokens = statistics.mean(int((batch["segment_ids"] > 0).sum()) for batch in batches)
            full[each] = tokens / batch_size / length
            speeds[each] = tokens / statistics.median(found[each])
        for each in WORKERS:
            print(
                f"| {each} | {full[each]:.1%} | {statistics.median(found[each]):.3f} |"
                f" {speeds[each]:.0f} | {speeds[each] / speeds['hf']:.2f} |"
            )


if __name__ == "__main__":
    main()
