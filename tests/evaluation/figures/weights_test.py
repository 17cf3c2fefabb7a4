import itertools

import numpy as np
import pytest

from maskjax.evaluation.figures import figure_pixels
from maskjax.evaluation.figures.weights import weight_histograms

SIDES = ("encoder", "decoder")


def test_titles_tell_leaves_apart_and_stand_beside_each_other():
    paths = [f"{side}/transformer/block00/attn/query/kernel" for side in SIDES]
    paths += [f"{path}/of/a/very/long/adapter/{i}" for i, path in enumerate(paths)]
    leaf = np.arange(-2.0, 3.0)
    figure = weight_histograms(dict.fromkeys(paths, leaf))
    assert len(figure_pixels(figure))
    titles = [axes.title if axes.get_title() else axes._left_title for axes in figure.axes]
    names = [title.get_text().splitlines()[0] for title in titles]
    assert len(set(names)) == len(names)
    assert all(name.startswith(path[:7]) for name, path in zip(names, paths, strict=True))
    boxes = [title.get_window_extent() for title in titles]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[-1].x1 < figure.bbox.x1
    assert "20.0% zero" in titles[0].get_text()


def test_no_leaf_is_refused():
    with pytest.raises(ValueError, match="at least one leaf"):
        weight_histograms({})
