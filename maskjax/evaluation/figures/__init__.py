"""Figures: pure functions of arrays that draw on a canvas of their own, never through pyplot."""

from maskjax.evaluation.figures.canvas import figure_pixels, save_figure
from maskjax.evaluation.figures.curves import loss_curve
from maskjax.evaluation.figures.mask_sheets import matrix_sheet, picture_sheet, token_sheet
from maskjax.evaluation.figures.matrices import confusion_matrix
from maskjax.evaluation.figures.panels import draw_panel
from maskjax.evaluation.figures.reconstruction import reconstruction_panel
from maskjax.evaluation.figures.rules import rule_sheet
from maskjax.evaluation.figures.tokens import token_panel

__all__ = [
    "confusion_matrix", "draw_panel", "figure_pixels", "loss_curve", "matrix_sheet",
    "picture_sheet", "reconstruction_panel", "rule_sheet", "save_figure", "token_panel",
    "token_sheet",
]  # fmt: skip
