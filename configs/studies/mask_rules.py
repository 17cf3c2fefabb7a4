"""When random, when blocks, when sliding, when adaptive masks? Rules and ratios on Fashion-MNIST.

    python launch/study.py --study=configs/studies/mask_rules.py[:smoke]

One small masked autoencoder on 10,000 pictures, trained equally long with every rule at every
ratio, and the same network as a plain autoencoder ("none": nothing is hidden, the loss is on all
patches). A linear probe and k-NN judge the frozen features on the validation split; the test split
is judged once, at the end of each run. Every rule is compared with the random one at its own ratio.
"adaptive" hides a patch in proportion to its running loss (mask.rule "weighted").

51 runs, about two hours on two cores. The data are those of Debian's package
dataset-fashion-mnist.
"""

_RULES = {
    "random": {"mask.rule": "random"},
    "block": {"mask.rule": "block"},
    "sliding": {"mask.rule": "sliding"},
    "adaptive": {"mask.rule": "weighted"},
}
_SMALL = {
    "total_steps": 800,
    "save_every_steps": 800,
    "optimizer.warmup_steps": 100,
    "data.limit": 10_000,
    "eval.max_train_examples": 10_000,
    "model.encoder.width": 64,
    "model.encoder.depth": 4,
    "model.decoder.width": 32,
}


def get_study(variant: str = "") -> dict:
    """Describes the study; "smoke" takes a few steps on digits, with one ratio."""
    if variant not in ("", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: use smoke, or none")
    small = {} if variant else _SMALL
    return {
        "base": "../mae.py:fashion_mnist_smoke" if variant else "../mae.py:fashion_mnist",
        "overrides": small | {"figures.num_examples": 0, "eval.probes": ("linear", "knn")},
        "axes": {"rule": _RULES, "mask.ratio": (0.5,) if variant else (0.25, 0.5, 0.75, 0.9)},
        "settings": {"none": {"mask.rule": "none", "loss.on": "all"}},
        "seeds": (0,) if variant else (0, 1, 2),
        "metrics": {"linear_accuracy": "max", "knn_accuracy": "max"},
        "baseline": {"rule": "random"},
    }
