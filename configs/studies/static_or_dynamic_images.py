"""Does it matter whether masks of images are fresh? A few fixed ones an image, against fresh ones.

    python launch/study.py --study=configs/studies/static_or_dynamic_images.py[:smoke]

One small masked autoencoder on 2,700 pictures of Fashion-MNIST (a twentieth of what there is to
train on), 30 epochs with 75 % hidden at random: by 1, 5 or 10 fixed masks of each picture, one an
epoch in turn, or by a fresh one each time. All else is equal, the masks of evaluations too: fresh
ones, the same in all runs. "loss" is the error of hidden pixels of held-out pictures; a linear
probe and k-NN judge the frozen features. static_or_dynamic.py asks the same of texts.

12 runs, 25 minutes on one busy core; static_or_dynamic.md is what came out. The data are those of
Debian's package dataset-fashion-mnist.
"""

_SMALL = {
    "total_steps": 630,  # 30 epochs of 21 batches
    "save_every_steps": 0,
    "optimizer.warmup_steps": 60,
    "data.train_fraction": 0.05,
    "model.encoder.width": 64,
    "model.encoder.depth": 3,
    "model.feature_blocks": 3,
    "model.decoder.width": 32,
    "model.decoder.depth": 1,
}


def get_study(variant: str = "") -> dict:
    """Describes the study; "smoke" takes a few steps on digits."""
    if variant not in ("", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: use smoke, or none")
    copies = {"static 1": 1, "static 5": 5, "static 10": 10, "fresh": 0}
    names = ("static 1", "fresh") if variant else tuple(copies)
    return {
        "base": "../mae.py:fashion_mnist_smoke" if variant else "../mae.py:fashion_mnist",
        "overrides": ({} if variant else _SMALL)
        | {"figures.num_examples": 0, "eval.probes": ("linear", "knn")},
        "settings": {name: {"mask.copies": copies[name]} for name in names},
        "seeds": (0,) if variant else (0, 1, 2),
        "metrics": {"loss": "min", "linear_accuracy": "max", "knn_accuracy": "max"},
        "baseline": "fresh",
    }
