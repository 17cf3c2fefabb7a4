"""Does masking reduce interference? A small ViT on Fashion-MNIST, with input masks and without.

    python launch/study.py --study=configs/studies/interference.py[:PART] [--part=i/n]

interference.md has the question, what each number means, and the table. Parts:

    clean             clean and corrupted examples, leaps of the gradient (also without a name)
    label_noise_20    a fifth of the training labels is wrong
    label_noise_40
    imbalance         class counts fall from 50 to 1
    labels_1          1 % of the training examples
    labels_10
    transfer          trained on clothes, then fine-tuned on digits
    transfer_digits   trained on MNIST (idx files in MNIST below), then on scikit-learn's digits
    PART_full         all ratios, a larger network, longer, five seeds; for other hardware
    PART_smoke, smoke a few small steps

51 runs a part, by FLOPs below two hours on two cores; 102 of transfer, a quarter more. Not run yet.
"""

_CLOTHES = "idx:/usr/share/datasets/fashion-mnist"  # where Debian's package puts it
_MNIST = "idx:data/mnist"
_RULES = {"random": "random", "sliding": "sliding", "block": "block", "adaptive": "weighted"}
_OTHERS = {
    "dropout 0.1": {"model.dropout": 0.1},
    "weight decay 0.3": {"optimizer.weight_decay": 0.3},
    "mixup 0.8": {"mix.mixup": 0.8},
}
# The plain row: nothing of what other rows have, in any row.
_PLAIN = {
    "mix.mixup": 0.0,
    "mix.cutmix": 0.0,
    "loss.smoothing": 0.0,
    "model.drop_path": 0.0,
    "optimizer.weight_decay": 0.0,
    "optimizer.layer_decay": 1.0,
    "mask.fill": "zero",
    "figures.num_examples": 0,
}
_CORRUPTIONS = ("gaussian_noise", "blur", "occlusion", "contrast", "salt_and_pepper")
_NOISY = {"eval.corruptions": _CORRUPTIONS, "eval.max_corrupted_examples": 1000}
_PARTS = {
    "clean": _NOISY,
    "label_noise_20": {"data.label_noise": 0.2},
    "label_noise_40": {"data.label_noise": 0.4},
    "imbalance": {"data.imbalance": 50.0},
    "labels_1": {"data.train_fraction": 0.01},
    "labels_10": {"data.train_fraction": 0.1},
    "transfer": {},
    "transfer_digits": {},
}
_PICTURES = {
    "data.source": _CLOTHES,
    "data.size": (28, 28),
    "data.mean": (0.286,),  # the same in all runs, so that encoders see the same units
    "data.std": (0.353,),
    "model.patch_size": (4, 4),
    "batch_size": 128,
    "save_every_steps": 0,
}


def _size(is_full: bool) -> dict:
    width, depth = (128, 6) if is_full else (64, 3)
    return {"model.encoder.width": width, "model.encoder.depth": depth, "model.encoder.heads": 4}


def _training(is_full: bool) -> dict:
    """What a supervised run has beside what makes its row."""
    steps = 10_000 if is_full else 800
    own = {"total_steps": steps, "optimizer.warmup_steps": steps // 10, "eval.batch_size": 250}
    return _PICTURES | _size(is_full) | own | {"log_every_steps": 10}


def _pretraining(is_full: bool) -> dict:
    """What the masked pretraining has beside what mae.py says of the data set."""
    steps = 10_000 if is_full else 2000
    own = {"total_steps": steps, "optimizer.warmup_steps": steps // 20, "eval.probes": ()}
    return _PICTURES | _size(is_full) | own | {"figures.num_examples": 0}


def _rows(ratios: tuple) -> dict:
    masks = {
        f"{name} {ratio}": {"mask.rule": rule, "mask.ratio": ratio}
        for name, rule in _RULES.items()
        for ratio in ratios
    }
    return {"none": {}, **masks, **_OTHERS}


def _transfer(said: dict, first: dict, second: dict) -> dict:
    """Makes of a study one of two stages: rows differ in the first, and the second is the same."""
    starts, settings = dict(said["starts"]), {"second stage alone": second}
    common = said["overrides"] | first
    for row, changes in said["axes"]["row"].items():
        for start, path in said["axes"]["start"].items():
            name = f"{row}, {start}"
            overrides = common | changes | path
            starts[f"first stage, {name}"] = {"base": said["base"], "overrides": overrides}
            place = {"init_from.path": f"{{first stage, {name}}}", "init_from.skip": ("^head/",)}
            settings[name] = second | place
    changes = {"settings": settings, "starts": starts, "baseline": "none, scratch"}
    return {key: x for key, x in said.items() if key != "axes"} | changes


def get_study(variant: str = "") -> dict:
    """Describes a part of the study."""
    part, is_smoke = variant.removesuffix("smoke").removesuffix("_"), variant.endswith("smoke")
    is_full = part.endswith("full")
    part = part.removesuffix("full").removesuffix("_") or "clean"
    if part not in _PARTS:
        raise ValueError(f"unknown part {part!r}: use one of {', '.join(_PARTS)}, or smoke")
    # Digits of 8x8 have so few examples that only a small batch can be made of 1 % of them.
    training = {"batch_size": 8} if is_smoke else _training(is_full)
    pretraining = {"eval.probes": ()} if is_smoke else _pretraining(is_full)
    rows = _rows((0.1, 0.25, 0.5, 0.75) if is_full else (0.5,))
    if is_smoke:
        rows = {name: rows[name] for name in ("none", "adaptive 0.5", "dropout 0.1")}
    metrics = {"accuracy": "max", "grad_norm_spikes": "min"}
    if part == "clean":
        names = ("accuracy_corrupted", *(f"accuracy_{name}" for name in _CORRUPTIONS))
        metrics |= dict.fromkeys(names, "max")
    if part == "imbalance":
        metrics |= {"f1_macro": "max"}
    suffix = ":smoke" if is_smoke else ""
    said = {
        "base": f"../finetune.py{suffix}",
        "overrides": _PLAIN | training | _PARTS[part],
        "starts": {
            "pretrained": {
                "base": f"../mae.py{suffix or ':fashion_mnist'}",
                "overrides": pretraining,
            }
        },
        "axes": {
            "row": rows,
            "start": {"scratch": {}, "masked pretraining": {"init_from.path": "{pretrained}"}},
        },
        "seeds": (0,) if is_smoke else (0, 1, 2, 3, 4) if is_full else (0, 1, 2),
        "metrics": metrics,
        "baseline": {"row": "none"},
    }
    if part.startswith("transfer"):
        first = {"data.source": _MNIST} if part == "transfer_digits" and not is_smoke else {}
        said["starts"]["pretrained"]["overrides"] = pretraining | first
        short = {} if is_smoke else {"total_steps": 200, "optimizer.warmup_steps": 20}
        return _transfer(said, first, {"data.source": "digits", **short})
    return said
