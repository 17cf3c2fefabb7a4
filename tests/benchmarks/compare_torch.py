"""Training steps of maskjax beside Hugging Face's ViTMAE in PyTorch, on this machine's CPU.

    pip install torch transformers          # torch 2.13.0+cpu and transformers 5.23.0 were used
    python tests/benchmarks/compare_torch.py --rounds=3

The same sizes, batch and optimizer (AdamW), float32, random inputs, masks drawn in the step. Each
round times one model in one process after the other, so both see the same machine; what counts is
the median over rounds of the median step.
"""

import rounds

# name: (batch, image side, patch side, encoder width, depth, heads, decoder width, depth, heads)
MODELS = {
    "ViT-B/16 at 224, batch 8": (8, 224, 16, 768, 12, 12, 512, 8, 16),
    "ViT-Ti/4 at 32, batch 128": (128, 32, 4, 192, 12, 3, 192, 4, 3),
}


def time_maskjax(name: str, steps: int) -> list[float]:
    """Step times of the trainer's own step, as `launch/benchmark.py` measures them."""
    from maskjax.config import load
    from maskjax.tools import benchmark
    from maskjax.training import cpu

    cpu.keep_freed_memory()
    batch, side, patch, width, depth, heads, small_width, small_depth, small_heads = MODELS[name]
    config = load(rounds.ROOT / "configs" / "mae.py")
    config.batch_size = batch
    config.model.patch_size = (patch, patch)
    config.model.encoder.update({"width": width, "depth": depth, "heads": heads})
    config.model.decoder.update({"width": small_width, "depth": small_depth, "heads": small_heads})
    timing = benchmark.time_step(config, (side, side, 3), repeats=steps, peak=1.0)
    return [timing.step_seconds]


def time_torch(name: str, steps: int) -> list[float]:
    """Step times of ViTMAEForPreTraining in eager mode."""
    import torch
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    batch, side, patch, width, depth, heads, small_width, small_depth, small_heads = MODELS[name]
    model = ViTMAEForPreTraining(
        ViTMAEConfig(
            image_size=side,
            patch_size=patch,
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            decoder_hidden_size=small_width,
            decoder_num_hidden_layers=small_depth,
            decoder_num_attention_heads=small_heads,
            decoder_intermediate_size=4 * small_width,
            norm_pix_loss=True,
        )
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
    images = torch.randn(batch, 3, side, side)

    def step() -> None:
        optimizer.zero_grad()
        loss = model(images).loss
        loss.backward()
        optimizer.step()
        loss.item()

    return rounds.seconds(step, steps)


def main() -> None:
    """Alternate the two, then print a line for each size."""
    parser = rounds.arguments(__doc__, steps=5)
    parser.add_argument("--model", choices=list(MODELS))
    options = parser.parse_args()
    if options.worker:
        worker = {"maskjax": time_maskjax, "torch": time_torch}[options.worker]
        rounds.work(worker, options.model, options.steps)
        return
    for name in MODELS if options.model is None else [options.model]:
        flags = (f"--model={name}", f"--steps={options.steps}")
        print(f"{name}: {rounds.compare(__file__, options.rounds, *flags)}", flush=True)


if __name__ == "__main__":
    main()
