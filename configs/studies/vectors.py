"""What does a tutorial's masked autoencoder learn? A perceptron on vectors, nothing or half hidden.

    python launch/study.py --study=configs/studies/vectors.py[:smoke]

Tutorials train 10 - 7 - 7 - 5 or 10 on independent Gaussian vectors and report a falling error. It
falls where nothing is hidden, as the network then only copies. Where half of the entries are
replaced by noise and the loss is on those, independent entries cannot be predicted and the error
stays at their variance, 1. Correlated ones can: "best_loss" is the error of the conditional mean,
which is told what entries are noise; the network has to guess that as well. "constant_loss" is that
of always answering the mean. Errors are on 10,000 vectors that were not trained on. All runs
together take a quarter of an hour on two cores.
"""

_SEEN = {"mask.rule": "none", "loss.on": "all"}


def get_study(variant: str = "") -> dict:
    """Describes the study; "smoke" takes a few steps."""
    if variant not in ("", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: use smoke, or none")
    return {
        "base": "../vectors.py:smoke" if variant else "../vectors.py",
        "overrides": {"figures.num_examples": 0},
        "axes": {
            "vectors": {
                "independent": {"data.source": "vectors"},
                "correlated": {"data.source": "vectors:0.9"},
            },
            "task": {
                "copy 5": {**_SEEN, "model.num_targets": 5},
                "copy 10": _SEEN,
                "fill half": {"mask.rule": "random", "loss.on": "masked"},
            },
        },
        "seeds": (0, 1) if variant else (0, 1, 2),
        "metrics": {"loss": "min"},
        "beside": {"loss": ("best_loss", "constant_loss")},
        "baseline": {"vectors": "independent"},
    }
