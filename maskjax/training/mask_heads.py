"""Heads that masks of weights hide must be those of the model, which their shapes do not tell."""

import re
from typing import Any

from maskjax.masking.parameters import leaf_paths
from maskjax.masking.parameters.engine import Engine
from maskjax.tasks.task import Task


def num_heads_of(task: Task, config: Any) -> dict[str, int]:
    """Heads of the encoder and of the decoder, before any went: they say how wide a head is.

    Args:
        task: what tells them, where it is of a vision transformer or a text encoder.
        config: the whole config, whose "model.heads" tells them else.

    Returns:
        A number for each side that the model has; none for models without heads.
    """
    it: Any = task.architecture
    if it is None:
        return {"encoder": config.model.heads} if "heads" in config.get("model", {}) else {}
    whole = getattr(it, "size", None) or getattr(it, "encoder", None)
    sizes = {"encoder": whole, "decoder": getattr(it, "decoder", None)}
    return {side: size.num_heads for side, size in sizes.items() if size is not None}


def check_mask_heads(masks: Engine | None, task: Task, config: Any) -> None:
    """Refuse "param_masks.num_heads" that are not the model's, though they divide its kernels."""
    if masks is None or masks.options.granularity != "head":
        return
    given, known = masks.options.num_heads, num_heads_of(task, config)
    for path in leaf_paths(masks.cutting.sparsities):
        side, found = path.partition("/")[0], re.search(r"/block(\d+)/", path)
        if side not in known or not found:
            continue
        kept = config.model.get(side, config.model).get("kept", ())
        heads = kept[int(found[1])][0] if kept else known[side]
        if heads != given:
            raise ValueError(
                f"param_masks.num_heads is {given}, and {path} has {heads}: set "
                f"param_masks.num_heads={heads}, or leave it out, as by "
                f"param_masks.exclude=('^{found.string[: found.end()]}',)"
            )
