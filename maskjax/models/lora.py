"""Low-rank adapters (Hu et al. 2021, "LoRA", section 4.1): a kernel W becomes W + alpha / r A B.

They are parameters beside those that they adapt, "lora/PATH/a" and "lora/PATH/b", so that rules on
paths freeze the ones and train the others. A model is applied to `merged` parameters.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util

from maskjax.masking.parameters import matching
from maskjax.typing import Array, Key, Params

LORA = "lora"


class Adapters(NamedTuple):
    """What is adapted, and how.

    Attributes:
        rank: r, from 1 to the shorter side of each kernel.
        alpha: an update weighs alpha / r.
        on: regular expressions on paths of the kernels.
    """

    rank: int
    alpha: float
    on: tuple[str, ...]

    @property
    def scale(self) -> float:
        """What A B is multiplied by."""
        return self.alpha / self.rank


def with_adapters(key: Key[Array, ""], params: Params, adapters: Adapters) -> Params:
    """Add adapters that change nothing yet: A from N(0, 1 / D_in), B zero.

    Args:
        key: of A.
        params: of the model.
        adapters: what is adapted.

    Raises:
        ValueError: a rule that finds nothing, or what is no kernel [..., D_out] of that rank.
    """
    flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
    found: dict[str, Any] = {}
    for number, path in enumerate(sorted(matching("model.lora_on", adapters.on, [*flat]))):
        leaf = flat[path]
        shape = math.prod(leaf.shape[:-1]), leaf.shape[-1]  # of a convolution: inputs of an output
        if leaf.ndim < 2 or adapters.rank > min(shape):
            raise ValueError(
                f"model.lora_rank {adapters.rank} does not fit {path} {list(leaf.shape)}, which "
                "model.lora_on finds: set it to at most the shorter side of a matrix"
            )
        normal = jax.random.normal(jax.random.fold_in(key, number), (shape[0], adapters.rank))
        found[f"{path}/a"] = normal / math.sqrt(shape[0])
        found[f"{path}/b"] = jnp.zeros((adapters.rank, shape[1]))
    return {**params, LORA: traverse_util.unflatten_dict(found, sep="/")}


def merged(params: Params, scale: float) -> Params:
    """Add A B, times `scale`, to the kernels that they adapt; what has no adapters is as it was."""
    flat: dict[str, Any] = traverse_util.flatten_dict(
        {name: part for name, part in params.items() if name != LORA}, sep="/"
    )
    parts: dict[str, Any] = traverse_util.flatten_dict(params.get(LORA, {}), sep="/")
    for path in {name.rpartition("/")[0] for name in parts}:
        change = scale * (parts[f"{path}/a"] @ parts[f"{path}/b"])
        flat[path] = flat[path] + change.reshape(flat[path].shape)
    return traverse_util.unflatten_dict(flat, sep="/")
