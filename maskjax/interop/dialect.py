"""Names of tensors: paths of maskjax to those of another project, and back."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

# A tensor by itself, no module with weight and bias.
_BARE = ("class_token", "mask_token", "table", "positions", "types", "bias")
_MOST_BLOCKS = 1024
# What a vision transformer may have and maskjax's has not, by names in any of the formats.
_FOREIGN = {
    r"dist_token|distillation|head_dist": "a distillation token (DeiT)",
    r"reg_token|register_tokens": "register tokens",
    r"\.ls[12]\.|gamma_[12]|layer_scale": "layer scale (CaiT, DeiT III, BEiT, DINOv2)",
    r"[qk]_norm\.|attn\.norm\.|mlp\.norm\.": "normalised queries and keys, or an inner norm",
    r"norm_pre\.|pre_layrnorm": "a norm before the blocks (CLIP)",
    r"attn_pool\.": "pooling by attention (SigLIP)",
    r"relative_position|rel_pos|rope": "relative or rotary positions (BEiT, Swin, EVA)",
    r"patch_embed(dings)?\.backbone": "convolutions before the patches (hybrid)",
    r"mlp\.(w12|w3|fc1_[gx]|weights_)": "a gated MLP",
    r"pre_logits\.": "a representation layer before the head",
    r"\.experts\.|\.router\.": "experts",
    r"lora_[AB]\.": "low-rank adapters that are not merged",
}


class Dialect(NamedTuple):
    """One way of naming the tensors of a transformer.

    Attributes:
        tops: path of a module, or of a single tensor, to its name.
        stacks: path of a stack of blocks to its name.
        block: path of a module within a block to its name there.
        has_bias: whether modules have biases.
    """

    tops: Mapping[str, str]
    stacks: Mapping[str, str]
    block: Mapping[str, str]
    has_bias: bool = True

    def modules(self, depths: Mapping[str, int]) -> dict[str, str]:
        """Name every module, {path: name}, with so many blocks a stack."""
        found = dict(self.tops)
        for stack, name in self.stacks.items():
            for i in range(depths.get(stack, 0)):
                for inner, inner_name in self.block.items():
                    found[f"{stack}/block{i:02d}/{inner}"] = f"{name}.{i}.{inner_name}"
        return found

    def tensors(self, depths: Mapping[str, int]) -> dict[str, str]:
        """Name every tensor, {path: name}."""
        found = {}
        for path, name in self.modules(depths).items():
            last = path.rpartition("/")[2]
            if last in _BARE:
                found[path] = name
                continue
            found[f"{path}/{'scale' if last.startswith('norm') else 'kernel'}"] = f"{name}.weight"
            if self.has_bias:
                found[f"{path}/bias"] = f"{name}.bias"
        return found

    def depths(self, names: Mapping[str, object]) -> dict[str, int]:
        """Count the blocks of each stack by the highest number in names."""
        found = {}
        for stack, name in self.stacks.items():
            numbers = [re.match(rf"{re.escape(name)}\.(\d{{1,4}})\.", each) for each in names]
            found[stack] = 1 + max((int(number[1]) for number in numbers if number), default=-1)
        return {stack: min(depth, _MOST_BLOCKS) for stack, depth in found.items()}


def best(dialects: tuple[Dialect, ...], names: Mapping[str, object]) -> Dialect:
    """Find the dialect that knows most of the names."""

    def known(dialect: Dialect) -> int:
        return len(set(dialect.tensors(dialect.depths(names)).values()) & set(names))

    return max(dialects, key=known)


def to_paths(dialect: Dialect, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give tensors their paths here; one without a place here is `a/b` by its name `a.b`."""
    paths = {name: path for path, name in dialect.tensors(dialect.depths(arrays)).items()}
    return {paths.get(name, name.replace(".", "/")): array for name, array in arrays.items()}


def to_names(dialect: Dialect, leaves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give tensors their names there.

    Raises:
        KeyError: a path that has no name there.
    """
    depths = {
        stack: len({path.split("/")[2] for path in leaves if path.startswith(f"{stack}/block")})
        for stack in dialect.stacks
    }
    names = dialect.tensors(depths)
    return {names[path]: array for path, array in leaves.items()}


def refuse_foreign(names: Mapping[str, object], place: str) -> None:
    """Refuse what maskjax's encoder has not, by its name, in a ValueError."""
    for pattern, what in _FOREIGN.items():
        for name in names:
            if re.search(pattern, name):
                raise ValueError(
                    f"{place} has {what}, in {name!r}, which maskjax's encoder has not: give the "
                    "weights of a plain vision transformer"
                )
