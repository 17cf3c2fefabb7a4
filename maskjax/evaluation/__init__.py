"""Measures and pictures of what was learned: pure functions of features, labels and arrays."""

from maskjax.evaluation.checks import TooFewLabelsError
from maskjax.evaluation.figures import (
    confusion_matrix,
    draw_panel,
    figure_pixels,
    loss_curve,
    reconstruction_panel,
    rule_sheet,
    save_figure,
)
from maskjax.evaluation.knn import knn_accuracy
from maskjax.evaluation.linear_probe import LinearProbe, fit_linear_probe, linear_accuracy

__all__ = [
    "LinearProbe",
    "TooFewLabelsError",
    "confusion_matrix",
    "draw_panel",
    "figure_pixels",
    "fit_linear_probe",
    "knn_accuracy",
    "linear_accuracy",
    "loss_curve",
    "reconstruction_panel",
    "rule_sheet",
    "save_figure",
]
