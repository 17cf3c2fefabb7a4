import numpy as np
import pytest

from maskjax.evaluation import figure_pixels, loss_curve


def train_row(step, loss):
    return {"step": step, "split": "train", "loss": loss, "learning_rate": 1e-3}


def lines_by_label(axes):
    return {line.get_label(): line for line in axes.lines}


def test_losses_of_both_splits_are_drawn_over_steps():
    rows = [
        train_row(10, 0.9),
        train_row(20, 0.5),
        {"step": 20, "split": "validation", "loss": 0.6},
        {"step": 20, "split": "test", "loss": 9.0},
    ]
    figure = loss_curve(rows, loss_label="squared error", title="Pretraining loss")
    (axes,) = figure.axes
    lines = lines_by_label(axes)
    assert set(lines) == {"training", "validation"}
    np.testing.assert_array_equal(lines["training"].get_xydata(), [[10, 0.9], [20, 0.5]])
    np.testing.assert_array_equal(lines["validation"].get_xydata(), [[20, 0.6]])
    assert axes.get_xlabel() == "step"
    assert axes.get_ylabel() == "squared error"
    assert axes.get_title(loc="left") == "Pretraining loss"


def test_steps_logged_again_after_a_restart_are_drawn_once_in_order():
    rows = [train_row(s, v) for s, v in [(1, 5.0), (2, 4.0), (3, 9.0), (2, 4.5), (3, 3.0)]]
    line = loss_curve(rows).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[1, 5.0], [2, 4.5], [3, 3.0]])


def test_missing_and_infinite_losses_are_gaps():
    rows = [train_row(s, v) for s, v in [(1, 1.0), (2, None), (3, float("inf")), (4, 0.5)]]
    line = loss_curve(rows).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [1.0, np.nan, np.nan, 0.5])
    figure_pixels(loss_curve([train_row(1, None)]))  # a run that never had a finite loss


def test_probe_accuracies_have_a_panel_with_their_pixel_baselines():
    rows = [train_row(1, 1.0)]
    for step, accuracy in [(100, 0.5), (200, 0.875)]:
        rows.append(
            {
                "step": step,
                "split": "validation",
                "loss": 0.5,
                "knn_accuracy": accuracy,
                "knn_accuracy_pixels": 0.75,
                "linear_accuracy": accuracy + 0.05,
            }
        )
    figure = loss_curve(rows)
    assert len(figure.axes) == 2
    lines = lines_by_label(figure.axes[1])
    assert set(lines) == {"k-NN, 87.5%", "k-NN on raw pixels, 75.0%", "linear probe, 92.5%"}
    drawn = lines["k-NN, 87.5%"].get_xydata()
    np.testing.assert_array_equal(drawn, [[100, 0.5], [200, 0.875]])
    np.testing.assert_array_equal(lines["k-NN on raw pixels, 75.0%"].get_ydata(), [0.75, 0.75])
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert figure_pixels(figure).ndim == 3


def test_evaluation_alone_is_enough():
    figure = loss_curve([{"step": 5, "split": "validation", "loss": 0.25, "linear_accuracy": 0.5}])
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], 'none of the 0 rows has a "loss"'),
        (
            [{"step": 1, "split": "train", "examples_per_second": 5.0}],
            'none of the 1 rows has a "loss"',
        ),
        ([train_row(1, 1.0), {"split": "train", "loss": 1.0}], 'row 2 needs "step"'),
        ([{"step": 1, "loss": 1.0}], 'row 1 needs "step" and "split"'),
    ],
)
def test_rows_that_do_not_fit_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        loss_curve(rows)


def test_losses_that_hardly_differ_are_written_whole():
    rows = [{"step": i, "split": "train", "loss": 2.3025 + 1e-5 * i} for i in range(1, 4)]
    figure = loss_curve(rows)
    figure_pixels(figure)
    (axes,) = figure.axes
    assert axes.yaxis.get_offset_text().get_text() == ""
    assert all(label.get_text().startswith("2.30") for label in axes.get_yticklabels())
