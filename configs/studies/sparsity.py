"""How sparse may a network be, and does it matter how its weights are chosen?

    python launch/study.py --study=configs/studies/sparsity.py[:VARIANT]

A classifier of Fashion-MNIST, trained from scratch with a share of its kernels hidden, by methods
of maskjax/masking/parameters/README.md, each for as many steps and as many examples as the dense
network: "random" once and for all; "gradual", magnitude, more and more; "set" and "rigl", which
drop by magnitude and grow at random or by gradient; "lottery", half of the steps to find the ticket
and half to train it from its beginning. Everything is compared with random masks of the same share.

    (none)         a vision transformer of width 64 and depth 3 on 4x4 patches, 1000 steps of 128
    resnet         a residual network with the stem for large images and 4 blocks of 32 and 64
                   channels, 300 steps of 128
    full, resnet_full
                   the networks of configs/prune.py, as long as it says; for other hardware
    smoke, resnet_smoke
                   a few small steps

78 runs each, two hours and an hour and a half on one busy core; sparsity.md is what came out.
Hidden are all kernels but the first, which reads patches or pixels.
"""

_METHODS = ("random", "gradual", "set", "rigl", "lottery")
_SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
_SMALL = {
    "": {
        "model.encoder.width": 64,
        "model.encoder.depth": 3,
        "model.patch_size": (7, 7),
        "total_steps": 1000,
        "optimizer.warmup_steps": 100,
        "optimizer.layer_decay": 1.0,
    },
    "resnet": {
        "model.size": "resnet18",
        "model.depths": (2, 2),
        "model.widths": (32, 64),
        "total_steps": 300,
        "optimizer.warmup_steps": 30,
    },
}
# The same in all runs: little that is random beside the masks, in a few epochs.
_PLAIN = {"data.crop_scale": (1.0, 1.0), "mix.mixup": 0.0, "loss.smoothing": 0.0}
_PLAIN |= {"model.drop_path": 0.0, "save_every_steps": 0, "figures.num_examples": 0}


def get_study(variant: str = "") -> dict:
    """Describes the study of one network."""
    words = variant.split("_")
    size = words.pop() if words[-1] in ("smoke", "full") else ""
    network = "_".join(words)
    if network not in _SMALL:
        raise ValueError(f"unknown variant {variant!r}: use resnet, full, resnet_full or smoke")
    methods, sparsities = _METHODS, _SPARSITIES
    if size == "smoke":
        methods, sparsities = ("random", "rigl"), (0.9,)
    data = f"{network}_fashion_mnist".removeprefix("_")
    erased = {} if network else {"data.erase": 0.0}
    dense = {"param_masks.method": "", "param_masks.sparsity": None}
    return {
        "base": f"../prune.py:{data}_smoke" if size == "smoke" else f"../prune.py:{data}",
        "overrides": _PLAIN | erased | ({} if size else _SMALL[network]),
        "axes": {
            "method": {name: {"param_masks.method": name} for name in methods},
            "param_masks.sparsity": sparsities,
        },
        "settings": {"dense": dense},
        "seeds": (0,) if size == "smoke" else (0, 1, 2),
        "metrics": {"accuracy": "max", "log_loss": "min"},
        "columns": "param_masks.sparsity",
        "curves": "param_masks.sparsity",
        "baseline": {"method": "random"},
    }
