"""A ViT as an encoder and fine-tuned: maskjax beside timm and Hugging Face, on this CPU.

    pip install -e '.[torch]'          # torch, timm and transformers
    python tests/benchmarks/compare_encoders.py --rounds=3

"features" are the mean of the patch tokens, computed without gradients; "finetune" is a training
step: cross-entropy over 1000 classes with smoothing .1, backward, AdamW. The same sizes and batch,
float32, random images, nothing mixed and nothing dropped. Each round times one in one process after
the other, so that all see the same machine; what counts is the median over rounds of the median
step. The last column is maskjax's speed over timm's, and over Hugging Face's.
"""

import statistics
import sys
from typing import Any

import rounds

# name: (batch, image side, patch side, width, depth, heads)
MODELS = {
    "ViT-B/16 at 224, batch 8": (8, 224, 16, 768, 12, 12),
    "ViT-Ti/16 at 32, batch 4": (4, 32, 16, 192, 2, 3),  # to try the script
}
KINDS = ("features", "finetune")
WORKERS = ("maskjax", "timm", "hf")
CLASSES, SMOOTHING = 1000, 0.1


def time_maskjax(name: str, kind: str, steps: int) -> list[float]:
    """Times of the features as they are evaluated, or of the trainer's own step."""
    import jax
    import numpy as np

    from maskjax import tasks
    from maskjax.config import load
    from maskjax.tasks.task import Context
    from maskjax.tools import benchmark
    from maskjax.training import cpu, parallel

    cpu.keep_freed_memory()
    batch, side, patch, width, depth, heads = MODELS[name]
    config, shape = load(rounds.ROOT / "configs" / "finetune.py"), (side, side, 3)
    config.batch_size = batch
    config.model.patch_size = (patch, patch)
    config.model.encoder.update({"width": width, "depth": depth, "heads": heads})
    config.model.drop_path = config.mix.mixup = config.mix.cutmix = 0.0
    config.loss.smoothing = SMOOTHING
    if kind == "finetune":
        return [benchmark.time_step(config, shape, repeats=steps, peak=1.0).step_seconds]
    task, spread = tasks.build(config, benchmark.Shape(shape, CLASSES)), parallel.Spread(1)
    images = np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32)
    context = Context(jax.random.split(jax.random.key(0), batch), train=False)
    features = lambda params, rows: task.outputs()["features"](params, rows, context)  # noqa: E731
    program = spread.program(features, rows_out=True)
    params = spread.replicate(jax.jit(task.init)(jax.random.key(0)))
    rows = spread.split({"inputs": images})
    return benchmark.sorted_seconds(lambda: program(params, rows), steps)


def timm_model(name: str) -> Any:
    """A ViT of timm with its head on the mean of the patches, and what gives features."""
    from timm.models.vision_transformer import VisionTransformer

    _, side, patch, width, depth, heads = MODELS[name]
    model = VisionTransformer(
        img_size=side, patch_size=patch, embed_dim=width, depth=depth, num_heads=heads,
        num_classes=CLASSES, global_pool="avg",
    )  # fmt: skip
    return model, lambda images: model.forward_features(images)[:, 1:].mean(1), model


def hf_model(name: str) -> Any:
    """A ViT of Hugging Face with its head on the class token, and what gives features."""
    from transformers import ViTConfig, ViTForImageClassification

    _, side, patch, width, depth, heads = MODELS[name]
    config = ViTConfig(
        image_size=side, patch_size=patch, hidden_size=width, num_hidden_layers=depth,
        num_attention_heads=heads, intermediate_size=4 * width, num_labels=CLASSES,
    )  # fmt: skip
    model = ViTForImageClassification(config)

    def features(images: Any) -> Any:
        return model.vit(images).last_hidden_state[:, 1:].mean(1)

    return model, features, lambda images: model(images).logits


def time_torch(worker: str, name: str, kind: str, steps: int) -> list[float]:
    """Times of one of PyTorch's, in eager mode."""
    import torch

    model, features, logits = {"timm": timm_model, "hf": hf_model}[worker](name)
    batch, side = MODELS[name][:2]
    images, labels = torch.randn(batch, 3, side, side), torch.zeros(batch, dtype=torch.long)
    if kind == "features":
        model.eval()
        with torch.inference_mode():
            return rounds.seconds(lambda: features(images), steps)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)

    def step() -> None:
        optimizer.zero_grad()
        loss = criterion(logits(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return rounds.seconds(step, steps)


def main() -> None:
    """Alternate the three, and print a Markdown table."""
    parser = rounds.arguments(__doc__, steps=5, workers=WORKERS)
    parser.add_argument("--model", choices=list(MODELS), default=next(iter(MODELS)))
    parser.add_argument("--kind", choices=KINDS, help="both by default")
    options = parser.parse_args()
    if options.worker == "maskjax":
        return rounds.work(time_maskjax, options.model, options.kind, options.steps)
    if options.worker:
        return rounds.work(time_torch, options.worker, options.model, options.kind, options.steps)
    batch = MODELS[options.model][0]
    print(f"{options.model}, images a second\n")
    print("| | maskjax | timm | Hugging Face | maskjax beside them |\n|---|---|---|---|---|")
    for kind in [options.kind] if options.kind else KINDS:
        flags = [f"--model={options.model}", f"--kind={kind}", f"--steps={options.steps}"]
        commands = {
            each: [sys.executable, __file__, f"--worker={each}", *flags] for each in WORKERS
        }
        found = rounds.alternate(commands, options.rounds)
        speeds = {each: batch / statistics.median(found[each]) for each in WORKERS}
        cells = " | ".join(
            f"{speed:.2f} ({batch / max(found[each]):.2f} to {batch / min(found[each]):.2f})"
            for each, speed in speeds.items()
        )
        ours, *theirs = speeds.values()
        beside = " and ".join(f"{ours / speed:.2f}" for speed in theirs)
        print(f"| {kind} | {cells} | {beside} |", flush=True)


if __name__ == "__main__":
    main()
