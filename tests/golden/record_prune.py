"""Records tests/golden/prune.npz from torch.nn.utils.prune, and a step of RigL in plain NumPy.

    pip install torch   # recorded with torch 2.13.0
    python tests/golden/record_prune.py

Two linear layers of random weights; amounts make no halves, which torch rounds to even. Kernels are
[inputs, outputs], as Linen has them. The RigL step (Evci et al. 2020, algorithm 1) is written from
the paper with sorts alone: drop the smallest of what is kept, grow what has the largest gradients
of what is not.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import prune

AMOUNTS = {"leaf": 0.4, "global": 0.6, "neurons": 0.3, "inputs": 0.2}


def layers(kernels: dict[str, np.ndarray]) -> dict[str, torch.nn.Linear]:
    """Linear layers of such kernels."""
    made = {}
    for name, kernel in kernels.items():
        layer = torch.nn.Linear(*kernel.shape, bias=False)
        layer.weight.data = torch.tensor(kernel.T.copy())
        made[name] = layer
    return made


def masks(made: dict[str, torch.nn.Linear]) -> dict[str, np.ndarray]:
    """What was kept, [inputs, outputs]."""
    return {name: layer.weight_mask.numpy().T.astype(bool) for name, layer in made.items()}


def rigl(
    kept: np.ndarray, weights: np.ndarray, gradient: np.ndarray, num_dropped: int
) -> np.ndarray:
    """What is kept after a step of RigL."""
    active = [i for i in range(kept.size) if kept.flat[i]]
    active.sort(key=lambda i: -abs(weights.flat[i]))
    stays = set(active[: len(active) - num_dropped])
    others = [i for i in range(kept.size) if i not in stays]
    others.sort(key=lambda i: -abs(gradient.flat[i]))
    grown = stays | set(others[:num_dropped])
    return np.array([i in grown for i in range(kept.size)]).reshape(kept.shape)


def main() -> None:
    """Prunes, and writes the file."""
    rng = np.random.default_rng(0)
    kernels = {
        "a": rng.normal(size=(12, 10)).astype(np.float32),
        "b": (0.5 * rng.normal(size=(10, 7))).astype(np.float32),
    }
    found = {f"kernel/{name}": kernel for name, kernel in kernels.items()}

    def keep(how: str, made: dict[str, torch.nn.Linear]) -> None:
        found.update({f"{how}/{name}": mask for name, mask in masks(made).items()})

    made = layers(kernels)
    for layer in made.values():
        prune.l1_unstructured(layer, "weight", AMOUNTS["leaf"])
    keep("leaf", made)
    made = layers(kernels)
    pairs = [(layer, "weight") for layer in made.values()]
    prune.global_unstructured(pairs, prune.L1Unstructured, amount=AMOUNTS["global"])
    keep("global", made)
    for how, dim in (("neurons", 0), ("inputs", 1)):
        made = layers(kernels)
        for layer in made.values():
            prune.ln_structured(layer, "weight", AMOUNTS[how], n=1, dim=dim)
        keep(how, made)
    gradient = rng.normal(size=(12, 10)).astype(np.float32)
    kept = rng.random((12, 10)) < 0.4
    weights = np.where(kept, kernels["a"], 0)
    found |= {"rigl/kept": kept, "rigl/gradient": gradient, "rigl/num_dropped": np.int32(11)}
    found["rigl/after"] = rigl(kept, weights, gradient, 11)
    np.savez_compressed(Path(__file__).with_name("prune.npz"), **found)


if __name__ == "__main__":
    main()
