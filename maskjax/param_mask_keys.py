"""Keys of "param_masks": which weights are hidden, when, and what that means for them.

None is what the method says (maskjax/masking/parameters/methods.py), or else its usual value there.
"""

from maskjax.key import COUNT, Key

_STEPS = {"low": 0, "high": COUNT, "kind": int}
_SHARE = {"low": 0, "high": 1, "kind": float}


def _key(meaning: str, *, default: object = None, **others: object) -> Key:
    return Key(default, meaning, before=default, **others)  # pyright: ignore[reportArgumentType]


PARAM_MASKS: dict[str, Key] = {
    "method": _key('of maskjax/masking/parameters/README.md, as "rigl"; "" = off', default=""),
    # Regular expressions on paths such as encoder/transformer/block00/attn/key/kernel.
    "include": _key("what may be hidden; () = all but biases, norms, embeddings", default=()),
    "exclude": _key("and of it what may not", default=()),
    "rule": _key('what is hidden first: "magnitude", "random", ... or "file"', kind=str),
    "file": _key("of the rule: masks of a run, its folder or param_masks.npz", default=""),
    "tile": _key("side of a block of weights", low=1, high=COUNT, kind=int),
    "stride": _key("weights that a sliding window moves at a change", low=0, high=COUNT, kind=int),
    "sparsity": _key("hidden share of what may be hidden", **_SHARE),
    "density": _key('of leaves: "uniform", or "erk": the larger, the sparser', kind=str),
    "sparsities": _key("pairs: what to find, and its own hidden share", default=()),
    "scope": _key('what is cut together: each "leaf", or all, "global"', kind=str),
    "granularity": _key(
        'what is hidden as one: "entry", "block", "row", "neuron", "head"; "2:4" keeps 2 of 4',
        kind=str,
    ),
    "num_heads": _key("heads of an attention layer", low=1, high=COUNT, kind=int),
    "schedule": _key('of the share: "one_shot", "linear", "cosine", "cubic", "error"', kind=str),
    "begin_step": _key("steps done before the first change", **_STEPS),
    "end_step": _key("steps done at the last change, which has the whole share", **_STEPS),
    "every_steps": _key("from a change to the next; 0 = no next", **_STEPS),
    "release_step": _key("steps done when nothing is hidden any more; 0 = never", **_STEPS),
    "observe_steps": _key("whose gradients a change looks at, and that move nothing", **_STEPS),
    "grow": _key('what returns for what is dropped: "none", "random", "gradient"', kind=str),
    "drop": _key("share of the kept weights that a change drops and grows", **_SHARE),
    "drop_schedule": _key('of that share: "constant", or "cosine", to 0', kind=str),
    "hides": _key(
        'what hidden means: "weights", "updates", "gradients", "start", "rest", "forward", "aside"',
        kind=str,
    ),
    "rescale": _key("whether kept gradients are divided by the kept share", kind=bool),
    "softness": _key("m: weights that stay are multiplied by one of [1 - m, 1)", **_SHARE),
    "hidden_decay": _key("of hidden weights that train on, in the gradient", low=0, kind=float),
    "rewind_step": _key("whose weights return at a change; none = none", **_STEPS),
}
