"""Does masking reduce interference? A small ViT on Fashion-MNIST, with input masks and without.

    python launch/study.py --study=configs/studies/interference.py[:VARIANT] [--part=i/n]

interference.md has the question, what each number means, the cost, and the table. One table, whose
columns are the questions; a VARIANT is one of them alone:

    clean             clean and corrupted examples, leaps of the gradient
    label_noise_20    a fifth of the labels of a tenth of the training examples is wrong
    label_noise_40
    imbalance         class counts fall from 50 to 1
    labels_1          1 % of the training examples
    labels_10
    transfer          trained on clothes, then fine-tuned on digits; trains `clean` too
    transfer_digits   trained on MNIST (idx files in MNIST below), then on scikit-learn's digits;
                      not among those that run without a VARIANT

or full, QUESTION_full (all ratios, a larger network, longer, five seeds; for other hardware),
smoke, QUESTION_smoke (a few small steps).
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
# By name: what differs in its runs.
_QUESTIONS = {
    "clean": {"eval.corruptions": _CORRUPTIONS, "eval.max_corrupted_examples": 500},
    # Of a tenth of the examples: what is seen once cannot be learned by heart, right or wrong.
    "label_noise_20": {"data.label_noise": 0.2, "data.train_fraction": 0.1},
    "label_noise_40": {"data.label_noise": 0.4, "data.train_fraction": 0.1},
    "imbalance": {"data.imbalance": 50.0},
    "labels_1": {"data.train_fraction": 0.01},
    "labels_10": {"data.train_fraction": 0.1},
    "transfer": {"data.source": "digits"},
}
_BY_RATIO = ("clean", "label_noise_40")
_STARTS = {"scratch": {}, "masked pretraining": {"init_from.path": "{pretrained}"}}
_PICTURES = {
    "data.size": (28, 28),
    "data.mean": (0.286,),  # the same in all runs, so that encoders see the same units
    "data.std": (0.353,),
    "batch_size": 128,
    "save_every_steps": 0,
}


def _size(is_full: bool) -> dict:
    width, depth, side = (128, 6, 4) if is_full else (64, 2, 7)
    return {
        "model.encoder.width": width,
        "model.encoder.depth": depth,
        "model.encoder.heads": 4,
        "model.patch_size": (side, side),
    }


def _training(steps: int, base_lr: float) -> dict:
    """What a supervised run of so many steps has beside what makes its row."""
    own = {"total_steps": steps, "optimizer.warmup_steps": steps // 10, "eval.batch_size": 250}
    return own | {"log_every_steps": 10, "optimizer.base_lr": base_lr}


def _pretraining(steps: int) -> dict:
    """What masked pretraining of so many steps has beside what mae.py says of the data set."""
    own = {"total_steps": steps, "optimizer.warmup_steps": steps // 20, "eval.probes": ()}
    return own | {"model.feature_blocks": 1}


def _rows(question: str, is_full: bool) -> dict:
    """What is trained by: every rule at half of the input or, in full, at every ratio.

    Some questions are asked of `random` at every ratio in any case.
    """
    masks = {
        f"{name} {ratio}": {"mask.rule": rule, "mask.ratio": ratio}
        for name, rule in _RULES.items()
        for ratio in (0.1, 0.25, 0.5, 0.75)
        if is_full or ratio == 0.5 or (name == "random" and question in _BY_RATIO)
    }
    return {"none": {}, **masks, **_OTHERS}


def _cells(questions: dict, rows: dict[str, dict], second: dict) -> tuple[dict, dict]:
    """Make the overrides of each question, its rows and starts, and say where they stand.

    What is learned on digits begins with the encoder of the `clean` run of its row and start, and
    has nothing else of the row: `second` is all it has.
    """
    settings, places = {}, {}
    for question, asked in questions.items():
        for row, changes in rows[question].items():
            for start, path in _STARTS.items():
                name = f"{question}, {row}, {start}"
                settings[name] = asked | changes | path
                places[name] = {"question": question, "row": row, "start": start}
                if question == "transfer":
                    first = {"init_from.path": f"{{clean, {row}, {start}}}"}
                    settings[name] = asked | second | first | {"init_from.skip": ("^head/",)}
        if question == "transfer":
            settings["transfer, second stage alone"] = asked | second
            places["transfer, second stage alone"] = {
                "question": question,
                "row": "second stage alone",
                "start": "scratch",
            }
    return settings, places


def get_study(variant: str = "") -> dict:
    """Describes the study, or one question of it."""
    words = variant.split("_")
    size = words.pop() if words[-1] in ("smoke", "full") else ""
    asked, is_smoke, is_full = "_".join(words), size == "smoke", size == "full"
    if asked not in ("", "transfer_digits", *_QUESTIONS):
        known = ", ".join([*_QUESTIONS, "transfer_digits"])
        raise ValueError(f"unknown question {asked!r}: use one of {known}, or smoke, full")
    wanted = {"": (*_QUESTIONS,), "transfer": ("clean", "transfer")}
    wanted["transfer_digits"] = wanted["transfer"]
    questions = {name: _QUESTIONS[name] for name in wanted.get(asked, (asked,))}
    # Digits of 8x8 have so few examples that only a small batch can be made of 1 % of them.
    shared, training, pretraining, second = {}, {"batch_size": 8}, {"eval.probes": ()}, {}
    rows = {name: _rows(name, is_full) for name in questions}
    if is_smoke:
        kept = ("none", "adaptive 0.5")
        rows = {name: {row: of[row] for row in kept} for name, of in rows.items()}
    else:
        place = {"data.source": _MNIST if asked == "transfer_digits" else _CLOTHES}
        shared = _PICTURES | _size(is_full) | {"figures.num_examples": 0}
        training = shared | _training(*((10_000, 3e-3) if is_full else (500, 6e-3))) | place
        pretraining = shared | _pretraining(10_000 if is_full else 2000) | place
        second = _training(200, 6e-3)
    settings, places = _cells(questions, rows, second)
    metrics = {"accuracy": "max", "grad_norm_spikes": "min"}
    if "clean" in questions:
        names = ("accuracy_corrupted", *(f"accuracy_{name}" for name in _CORRUPTIONS))
        metrics |= dict.fromkeys(names, "max")
    if "imbalance" in questions:
        metrics |= {"f1_macro": "max"}
    suffix = ":smoke" if is_smoke else ""
    return {
        "base": f"../finetune.py{suffix}",
        "overrides": training | _PLAIN,
        "starts": {
            "pretrained": {
                "base": f"../mae.py{suffix or ':fashion_mnist'}",
                "overrides": pretraining,
            }
        },
        "settings": settings,
        "places": places,
        "columns": "question",
        "seeds": (0,) if is_smoke else (0, 1, 2, 3, 4) if is_full else (0, 1, 2),
        "metrics": metrics,
        "baseline": {"row": "none"},
    }
