"""From a panel to its figure."""

from collections.abc import Sequence

import jax
import numpy as np
from matplotlib.figure import Figure

from maskjax import masking
from maskjax.evaluation.figures.classes import class_panel
from maskjax.evaluation.figures.reconstruction import reconstruction_panel
from maskjax.evaluation.figures.rules import rule_sheet
from maskjax.evaluation.figures.texts import text_panel
from maskjax.evaluation.figures.tokens import token_panel
from maskjax.evaluation.metrics import class_names
from maskjax.evaluation.panels import (
    ArrayPanel,
    ArrayUnits,
    ClassPanel,
    Panel,
    RulePanel,
    SpellingUnits,
    TagPanel,
    TextPanel,
    TokenPanel,
    TokenUnits,
    in_texts,
    in_words,
    tagged_words,
    texts_of,
)
from maskjax.evaluation.sheets.rule_masks import picture_runtime, rule_masks

_RULE_EXAMPLES = 4  # columns of the sheet of rules


def draw_panel(
    panel: Panel, units: ArrayUnits | TokenUnits, *, labels: Sequence[str] | None = None
) -> Figure:
    """Draw a panel.

    Args:
        panel: of at least one example, on the host.
        units: turn its arrays into what people read.
        labels: a name for each example.

    Raises:
        TypeError: the units are not those of such a panel.
    """
    if isinstance(panel, ArrayPanel) and isinstance(units, ArrayUnits):
        return _draw_arrays(panel, units, labels)
    if isinstance(panel, RulePanel) and isinstance(units, ArrayUnits):
        return _draw_rules(panel, units)
    if isinstance(panel, ClassPanel) and isinstance(units, ArrayUnits):
        return class_panel(
            units.denormalise(panel.inputs),
            *_classes(panel),
            labels=labels,
            note=panel.note,
        )
    if isinstance(panel, ClassPanel) and isinstance(units, SpellingUnits):
        texts = texts_of(panel.inputs, units)
        options = {"labels": labels, "texts": texts, "note": panel.note}
        return class_panel(np.asarray(panel.inputs), *_classes(panel), **options)
    if isinstance(panel, TagPanel) and isinstance(units, SpellingUnits):
        return token_panel(list(tagged_words(panel, units)), labels=labels, note=panel.note)
    if isinstance(panel, TokenPanel) and isinstance(units, TokenUnits):
        return token_panel(list(in_words(panel, units)), labels=labels, note=panel.note)
    if isinstance(panel, TextPanel) and isinstance(units, SpellingUnits):
        return text_panel(list(in_texts(panel, units)), labels=labels, note=panel.note)
    kinds = {TokenPanel: "words", ClassPanel: "denormalise` or `spell"}
    kinds |= dict.fromkeys((TagPanel, TextPanel), "spell")
    kind = kinds.get(type(panel), "denormalise")
    raise TypeError(f"a {type(panel).__name__} needs a processor with `{kind}`")


def _classes(panel: ClassPanel) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """Which classes are true, their chances and their names."""
    chances = np.asarray(panel.probabilities)
    return panel.is_true, chances, class_names(panel.classes, chances.shape[1])


def _draw_arrays(panel: ArrayPanel, units: ArrayUnits, labels: Sequence[str] | None) -> Figure:
    return reconstruction_panel(
        units.denormalise(panel.original),
        np.where(panel.is_absent, np.nan, units.denormalise(panel.seen)),
        units.denormalise(panel.prediction),
        units.denormalise(panel.pasted),
        is_hidden=panel.is_hidden,
        dim_visible=panel.dim_visible,
        labels=labels,
        note=panel.note or None,
    )


def _draw_rules(panel: RulePanel, units: ArrayUnits) -> Figure:
    """Draw every rule; what rules need from outside, such as losses, the picture stands in for."""
    image = units.denormalise(np.nan_to_num(panel.images[0])).clip(0, 1)
    height, width = (side // size for side, size in zip(image.shape, panel.patch_size))
    grid = (height, width)
    keys = jax.random.split(jax.random.key(0), _RULE_EXAMPLES)
    runtime = picture_runtime(image, grid, _RULE_EXAMPLES)
    masks = rule_masks(
        masking.rules_on("image"), keys, grid, panel.num_masked, runtime, options=panel.options
    )
    return rule_sheet(image, masks, panel.patch_size)
