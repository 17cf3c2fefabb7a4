"""Training steps of maskjax's BERT4Rec beside an equal model in PyTorch, on this machine's CPU.

    pip install torch          # torch 2.13.0+cpu was used
    python tests/benchmarks/compare_bert4rec.py --rounds=3

The sizes of configs/bert4rec.py:movielens_100k: the same blocks (pre-norm, GELU, dropout .2), head,
tied output over all items at the hidden positions alone, AdamW, clipping, float32; random histories
of full length, masks drawn in the step. Each round times one model in one process after the other,
so both see the same machine; what counts is the median over rounds of the median step.
"""

import types

import rounds

BATCH, LENGTH, ITEMS, WIDTH, DEPTH, HEADS, HIDDEN, DROPOUT = 256, 50, 1682, 64, 2, 2, 10, 0.2


def time_maskjax(steps: int) -> list[float]:
    """Step times of the trainer's own step."""
    import numpy as np

    from maskjax import tasks
    from maskjax.config import load
    from maskjax.tools import benchmark
    from maskjax.training import cpu, parallel, run

    cpu.keep_freed_memory()
    config = load(rounds.ROOT / "configs" / "bert4rec.py", "movielens_100k")
    config.batch_size = BATCH
    assert config.data.length == LENGTH
    assert (config.model.width, config.model.depth, config.model.heads) == (WIDTH, DEPTH, HEADS)
    assert config.model.dropout == DROPOUT
    processor = types.SimpleNamespace(length=LENGTH, num_items=ITEMS)
    task = tasks.build(config, types.SimpleNamespace(processor=processor))
    assert task.num_places == HIDDEN
    spread = parallel.Spread(1)
    state = spread.replicate(run.initial_state(task, config))
    program = spread.program(run.make_step(task, config, spread.axis_name), donate=True)
    items = np.random.default_rng(0).integers(1, ITEMS + 1, (BATCH, LENGTH)).astype(np.int32)
    rows = np.arange(BATCH, dtype=np.int32)
    batch = {"items": items, "id": rows, "epoch": 0 * rows, "is_valid": rows >= 0}

    def step():
        nonlocal state
        state, metrics = program(state, spread.split(batch))
        return metrics["loss"]

    return benchmark.sorted_seconds(step, steps)


def time_torch(steps: int) -> list[float]:
    """Step times of the same model in eager mode."""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(ITEMS + 1, WIDTH)
            self.positions = nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
            self.norm, self.dropout = nn.LayerNorm(WIDTH), nn.Dropout(DROPOUT)
            layer = nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, DROPOUT, "gelu", batch_first=True, norm_first=True
            )
            layer.self_attn.dropout = layer.dropout.p = 0.0  # what a branch adds is dropped alone
            self.blocks = nn.TransformerEncoder(
                layer, DEPTH, nn.LayerNorm(WIDTH), enable_nested_tensor=False
            )
            self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.LayerNorm(WIDTH))
            self.bias = nn.Parameter(torch.zeros(ITEMS))

        def forward(self, ids, is_padding, places):
            x = self.dropout(self.norm(self.table(ids) + self.positions))
            x = self.blocks(x, src_key_padding_mask=is_padding)
            x = x.gather(1, places[..., None].expand(-1, -1, WIDTH))
            return self.head(x) @ self.table.weight[:ITEMS].T + self.bias

    model = Model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    items = torch.randint(0, ITEMS, (BATCH, LENGTH))
    is_padding = torch.zeros(BATCH, LENGTH, dtype=torch.bool)

    def step() -> None:
        places = torch.rand(BATCH, LENGTH).topk(HIDDEN, dim=1).indices
        ids = items.scatter(1, places, ITEMS)
        optimizer.zero_grad()
        logits = model(ids, is_padding, places)
        loss = nn.functional.cross_entropy(
            logits.reshape(-1, ITEMS), items.gather(1, places).reshape(-1)
        )
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        loss.item()

    return rounds.seconds(step, steps)


def main() -> None:
    """Alternate the two, then print the line."""
    options = rounds.arguments(__doc__, steps=20).parse_args()
    if options.worker:
        rounds.work({"maskjax": time_maskjax, "torch": time_torch}[options.worker], options.steps)
        return
    found = rounds.compare(__file__, options.rounds, f"--steps={options.steps}")
    print(f"BERT4Rec, {BATCH} histories of {LENGTH}, {ITEMS} items: {found}")


if __name__ == "__main__":
    main()
