"""What do masks do to a tutorial's linear model? Every setting is 1000 seeds in one program.

    python launch/study.py --study=configs/studies/linear_masks.py[:VARIANT]

The tutorials have y = th0 + sum th_i x_i M_i (input masks) or th' = th * M (parameter masks), x ~
N(0, 1) [10, 5], u ~ U(0, 1) drawn once, entries of u under .5 set to 0 and the others kept (a soft
mask), PyTorch's Linear(5, 1), 100 epochs of SGD .01 on the whole batch, mean square error, target
zeros or N(0, 1). linear_masks.md has what came out. A VARIANT is one of

    curve    the loss every tenth epoch, beside the curve that is claimed
    smoke    twenty seeds; curve_smoke
"""

_CLAIMED = (0.7277, 0.5716, 0.4717, 0.4193, 0.3927, 0.3788, 0.3669, 0.3584, 0.3527, 0.3491, 0.3475)
# What is hidden, how, and what becomes of hidden weights: they stay zero and the others train; they
# are zeroed once and all train; they are zeroed once and they alone train.
_MASKS = (
    "none",
    "input soft",
    "input hard",
    "input soft, anew each epoch",
    "input hard, anew each epoch",
    "weights soft, stay hidden",
    "weights hard, stay hidden",
    "weights soft, all train",
    "weights hard, all train",
    "weights soft, hidden train",
    "weights hard, hidden train",
)
_DATA = ("noise", "zeros", "structure")


def get_study(variant: str = "") -> dict:
    """Describes the study: settings, and how all seeds of one are computed."""
    words = variant.split("_") if variant else []
    if words not in ([], ["curve"], ["smoke"], ["curve", "smoke"]):
        raise ValueError(f"unknown variant {variant!r}: use curve, smoke, curve_smoke, or none")
    seeds = range(20 if "smoke" in words else 1000)
    if "curve" in words:
        names = [f"loss_{epoch}" for epoch in range(0, 101, 10)]
        masks = ("none", "input soft", "input hard", "weights soft, stay hidden")
        return {
            "compute": "maskjax.evaluation.linear_masks.compute",
            "axes": {
                "mask": masks,
                "data": {it: {"data": it, "claimed": _CLAIMED} for it in ("noise", "zeros")},
            },
            "seeds": seeds,
            "metrics": dict.fromkeys([*names, "ratio", "gap_to_claim"], "min"),
            "claims": dict(zip(names, _CLAIMED, strict=True))
            | {"ratio": _CLAIMED[-1] / _CLAIMED[0]},
        }
    metrics = ("held_out", "held_out_hidden", "held_out_1000", "held_out_best")
    return {
        "compute": "maskjax.evaluation.linear_masks.compute",
        "axes": {"mask": _MASKS, "data": _DATA},
        "columns": "data",
        "seeds": seeds,
        "metrics": dict.fromkeys((*metrics, "start", "final", "final_1000", "best"), "min"),
        "baseline": {"mask": "none"},
    }
