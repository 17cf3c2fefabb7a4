"""Pictures of what a model makes of its input, into a run's `figures/` folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from maskjax import evaluation, masking
from maskjax.evaluation.sheets.rule_masks import picture_runtime, rule_masks
from maskjax.tasks.task import Context
from maskjax.training import workdir as layout
from maskjax.training.loggers import read_metrics
from maskjax.training.state import TrainState
from maskjax.training.step import eval_keys
from maskjax.typing import Array, Params

_RULE_EXAMPLES = 4  # columns of the sheet of rules


def draw(
    task: Any,
    state: TrainState,
    data: Any,
    config: Any,
    workdir: Path,
    out: Path | None = None,
) -> dict[str, Figure]:
    """Draw the pictures of a run and save them as PNG.

    Args:
        task: Has `reconstruct`, `grid`, `target` and `patch_size`.
        state: The state to show; its averaged parameters where it has them.
        data: Has `examples` and `denormalise`.
        config: The run's.
        workdir: The run's folder.
        out: Folder for the pictures; None is the run's `figures/`.

    Returns:
        The figures by name; each is saved as `NAME.png`.
    """
    count = config.figures.num_examples
    split = "eval" if data.num_eval else "train"
    inputs = data.examples(split, max(count, 1))
    figures = {}
    if count and len(inputs) and len(task.grid) <= 3:
        reconstruct = jax.jit(task.reconstruct)
        panel = reconstructions(reconstruct, state.eval_params, data, config, inputs)
        figures["reconstructions"] = panel
    if len(inputs) and len(task.grid) == 2:
        picture = data.denormalise(np.nan_to_num(inputs[0])).clip(0, 1)
        figures["rules"] = rules(task, picture, config)
    rows = read_metrics(workdir)
    if rows:
        figures["loss"] = evaluation.loss_curve(rows, loss_label=task.loss_label)
    for name, figure in figures.items():
        evaluation.save_figure(figure, (out or workdir / layout.FIGURES) / f"{name}.png")
    return figures


def reconstructions(
    reconstruct: Callable[..., dict[str, Array]],
    params: Params,
    data: Any,
    config: Any,
    inputs: np.ndarray,
    *,
    labels: Sequence[str] | None = None,
    first: int = 0,
    batch_size: int | None = None,
) -> Figure:
    """Draw original, what the model saw, prediction, and prediction with the visible part.

    Args:
        reconstruct: A task's, compiled.
        params: The parameters.
        data: Has `denormalise` and `missing`.
        config: The run's; seed and total_steps fix the masks.
        inputs: Normalised examples [N, *shape], NaN where there is no number.
        labels: A name for each example.
        first: Place of the first example among all that are drawn.
        batch_size: Compute this many, padding included, so that N may vary; N by default.

    Returns:
        The figure.
    """
    count = len(inputs)
    padded = np.zeros((batch_size or count, *inputs.shape[1:]), np.float32)
    padded[:count] = inputs
    batch = {"inputs": np.nan_to_num(padded)}
    if data.missing is not None:
        batch["is_known"] = ~np.isnan(padded)
    keys = eval_keys(config.seed, first + jnp.arange(len(padded)))
    step = jnp.int32(config.total_steps)
    parts = reconstruct(params, batch, Context(keys, step, train=False))
    parts = {name: np.asarray(part)[:count] for name, part in parts.items()}
    note = None
    if config.loss.target == "norm_pix":
        note = (
            "The model predicts patches normalised by their own mean and standard deviation "
            "(norm_pix); for this picture each prediction was given back the mean and standard "
            "deviation of the true patch, which the model did not know."
        )
    return evaluation.reconstruction_panel(
        data.denormalise(inputs),
        np.where(parts["is_absent"], np.nan, data.denormalise(parts["seen"])),
        data.denormalise(parts["prediction"]),
        data.denormalise(parts["pasted"]),
        is_hidden=parts["is_hidden"],
        dim_visible=config.loss.on == "masked",
        labels=labels,
        note=note,
    )


def rules(task: Any, image: np.ndarray, config: Any) -> Figure:
    """Draw every masking rule for images on one picture, with the run's count and options.

    What rules need from outside, such as losses, the picture itself stands in for.

    Args:
        task: Has `grid`, `patch_size`, `num_patches` and `schedule`.
        image: [H, W, C] in [0, 1].
        config: The run's; the options of each rule are read.

    Returns:
        The figure.
    """
    num_masked = task.schedule.max_num_masked(task.num_patches)
    keys = jax.random.split(jax.random.key(config.seed), _RULE_EXAMPLES)
    names = masking.rules_on("image")
    options = {name: dict(config.mask.get(name, {})) for name in names}
    for of_rule in options.values():
        of_rule.pop("follows", None)
    runtime = picture_runtime(image, task.grid, _RULE_EXAMPLES)
    masks = rule_masks(names, keys, task.grid, num_masked, runtime, options=options)
    return evaluation.rule_sheet(image, masks, task.patch_size)
