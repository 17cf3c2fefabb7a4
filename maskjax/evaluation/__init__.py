"""Measures and pictures of what was learned: pure functions of features, labels and arrays."""

from maskjax.evaluation.knn import knn_accuracy
from maskjax.evaluation.linear_probe import LinearProbe, fit_linear_probe, linear_accuracy

__all__ = ["LinearProbe", "fit_linear_probe", "knn_accuracy", "linear_accuracy"]
