"""A ViT-B/16 from transformers and back: `python tests/benchmarks/vit_b16_round_trip.py`.

A random ViTMAE of transformers is saved, fine-tuned a few steps by launch/train.py, written by
launch/export.py, and loaded by transformers' ViTForImageClassification: its logits are compared
with maskjax's. It needs the extra torch, 4 GB of memory and 2 GB of disk; no data, no network.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from maskjax.tasks.task import Context
from maskjax.tools.saved import open_saved

ROOT = Path(__file__).parents[2]
OPTIONS = (
    "batch_size=2",
    "total_steps=3",
    "save_every_steps=0",
    "data.size=(224,224)",
    "data.channels=3",
    "data.limit=64",  # of fewer some class would have none
    "data.validation_fraction=0.005",
    "data.test_fraction=0.005",
    "eval.batch_size=8",
    "figures.num_examples=0",
    "model.size=B",
    "model.encoder.width=0",
    "model.encoder.depth=0",
    "model.encoder.heads=0",
    "model.patch_size=(16,16)",
    "model.positions=learned",
    "model.norm_eps=1e-12",
    "model.pool=class",
    "optimizer.warmup_steps=0",
    "optimizer.base_lr=0.1",  # so that three steps of two images are seen
)


def write_random(folder: Path) -> None:
    """Save a ViTMAE whose every tensor is random."""
    model = transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            is_scale = "norm" in name and name.endswith("weight")
            value.normal_(1.0 if is_scale else 0.0, 0.02, generator=generator)
    model.save_pretrained(folder)


def launch(name: str, *flags: str) -> None:
    """Run a launcher."""
    subprocess.run([sys.executable, ROOT / "launch" / f"{name}.py", *flags], check=True, cwd=ROOT)


def main() -> None:
    """Goes there and back, and says by how much logits differ."""
    with tempfile.TemporaryDirectory() as scratch:
        given, run, back = (Path(scratch) / name for name in ("given", "run", "back"))
        write_random(given)
        options = [f"--config.{option}" for option in OPTIONS]
        launch(
            "train",
            "--config=configs/finetune.py",
            f"--workdir={run}",
            f"--config.init_from.path={given}",
            *options,
        )
        launch("export", f"--workdir={run}", f"--output={back}", "--format=hf")
        saved = open_saved(run, needs_examples=False)
        images = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype(np.float32)
        context = Context(jax.random.split(jax.random.key(0), 2), train=False)
        logits = jax.jit(saved.task.outputs()["logits"])
        ours = logits(saved.state.eval_params, {"inputs": jnp.asarray(images)}, context)
        model = transformers.ViTForImageClassification.from_pretrained(back).eval()
        with torch.no_grad():
            theirs = model(torch.from_numpy(images).permute(0, 3, 1, 2)).logits.numpy()
        difference = np.abs(np.asarray(ours) - theirs).max()
        print(f"logits from {theirs.min():.3f} to {theirs.max():.3f} differ by {difference:.1e}")
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


if __name__ == "__main__":
    main()
