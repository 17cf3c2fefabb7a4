"""What masked prediction of patches shows: reconstructions, and every masking rule on a picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskjax import masking
from maskjax.evaluation.panels import ArrayPanel, Panel, RulePanel
from maskjax.typing import Batch

_NORM_PIX_NOTE = (
    "The model predicts patches normalised by their own mean and standard deviation (norm_pix); "
    "for this picture each prediction was given back the mean and standard deviation of the true "
    "patch, which the model did not know."
)


def note_on(target: str) -> str:
    """What must be said beside a picture of predictions of a target; "" where nothing."""
    return _NORM_PIX_NOTE if target == "norm_pix" else ""


def reconstructions(
    batch: Batch, parts: Mapping[str, Any], *, on: str, target: str
) -> dict[str, Panel]:
    """Make the panel of what was reconstructed.

    Args:
        batch: "inputs" [B, *shape], and "is_known" where numbers are missing.
        parts: what `MaskedPatches.reconstruct` returns.
        on: patches that count in the loss: "masked" or "all".
        target: "norm_pix" or "pixels".

    Returns:
        "reconstructions".
    """
    original = np.where(batch.get("is_known", True), np.asarray(batch["inputs"]), np.float32("nan"))
    panel = ArrayPanel(original, **parts, dim_visible=on == "masked", note=note_on(target))
    return {"reconstructions": panel}


def rules(
    batch: Batch, patch_size: tuple[int, ...], num_masked: int, options: Mapping[str, Any]
) -> dict[str, Panel]:
    """Make the panel of masking rules.

    Args:
        batch: "inputs" [B, H, W, C]; the first is shown.
        patch_size: height and width of a patch.
        num_masked: patches that are hidden.
        options: `config.mask`; the section of a rule's name holds its options.

    Returns:
        "rules".
    """
    sections = {name: dict(options.get(name, {})) for name in masking.rules_on("image")}
    for section in sections.values():
        for moving in ("follows", "max_share"):  # with the steps, which is the task's business
            section.pop(moving, None)
    height, width = patch_size
    panel = RulePanel(np.asarray(batch["inputs"]), (height, width), num_masked, sections)
    return {"rules": panel}
