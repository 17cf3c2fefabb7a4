"""Adjust the mask, train, score, keep the best: the dynamic-mask papers' outer loop, on digits.

    python launch/study.py --study=configs/studies/mask_search.py[:smoke]

A round changes the best mask so far, its ratio or how sharply it follows the running losses
(mask.rule "weighted"; temperature 1 is in proportion, 0 takes the heaviest), and is kept where the
linear probe on the validation split gets better. As the best of many rounds is partly luck, two
seeds are averaged, and the test split stands beside.

20 runs, three quarters of an hour on two cores.
"""

# What round 1, 2 ... add to the best ratio before, and multiply its temperature by.
_CHANGES = ((0.1, 1.0), (-0.1, 1.0), (0.0, 0.5), (0.0, 2.0), (0.05, 0.7), (-0.05, 1.4))


def _propose(rounds) -> dict:
    """The next mask, from nothing but the rounds before."""
    if not rounds:
        return {"mask.ratio": 0.75, "mask.weighted.temperature": 1.0}
    best = max(rounds, key=lambda each: each.value).overrides
    more, fold = _CHANGES[(len(rounds) - 1) % len(_CHANGES)]
    ratio, temperature = best["mask.ratio"] + more, best["mask.weighted.temperature"] * fold
    return {
        "mask.ratio": round(min(max(ratio, 0.2), 0.9), 3),
        "mask.weighted.temperature": round(temperature, 3),
    }


def get_study(variant: str = "") -> dict:
    """Describes the study; "smoke" takes three rounds of a few steps."""
    if variant not in ("", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: use smoke, or none")
    return {
        "base": "../mae.py:smoke" if variant else "../mae.py",
        "overrides": {"mask.rule": "weighted", "figures.num_examples": 0},
        "search": {"rounds": 3 if variant else 10, "propose": _propose},
        "seeds": (0,) if variant else (0, 1),
        "metrics": {"linear_accuracy": "max"},
    }
