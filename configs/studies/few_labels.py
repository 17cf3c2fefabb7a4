"""What is masked pretraining worth with 1 %, 10 % and all of the labels of Fashion-MNIST?

    python launch/train.py --config=configs/mae.py:fashion_mnist
    python launch/study.py --study=configs/studies/few_labels.py[:VARIANT]

The first pretrains on all training images, without labels, in runs/mae-fashion_mnist, from which
the second starts: run both in one folder. Beside it the same network from scratch, with the same
budget. results.md has what came out. A VARIANT is one of

    1, 10, 100    one share of the labels alone, in percent
    smoke         a few small steps, from `--config=configs/mae.py:fashion_mnist_smoke`
"""

_STEPS = {1: 400, 10: 1000, 100: 13_000}  # by the percentage: 95, 24 and 31 epochs
# In training, of the patches.
_HALF = {"mask.rule": "random", "mask.ratio": 0.5, "mask.fill": "drop"}


def _training(steps: int) -> dict:
    return {"total_steps": steps, "optimizer.warmup_steps": min(300, steps // 10)}


def get_study(variant: str = "") -> dict:
    """Describes the study, or one share of it."""
    names = [str(percent) for percent in _STEPS]
    if variant not in ("", "smoke", *names):
        raise ValueError(f"unknown variant {variant!r}: use {', '.join(names)}, smoke, or none")
    suffix = "_smoke" if variant == "smoke" else ""
    labels = {
        f"{percent} %": {"data.train_fraction": percent / 100}
        | ({} if suffix else _training(steps))
        for percent, steps in _STEPS.items()
        if variant in ("", "smoke", str(percent))
    }
    starts = {
        "scratch": {"optimizer.layer_decay": 1.0},
        "masked pretraining": {"init_from.path": f"runs/mae-fashion_mnist{suffix}"},
    }
    return {
        "base": f"../finetune.py:fashion_mnist{suffix}",
        # 1 % of the smoke run's examples are 14.
        "overrides": _HALF | ({"batch_size": 8} if suffix else {}),
        "axes": {"labels": labels, "start": starts},
        "columns": "labels",
        "baseline": {"start": "scratch"},
        "seeds": (0,) if suffix else (0, 1, 2),
        "metrics": {"accuracy": "max", "f1_macro": "max"},
    }
