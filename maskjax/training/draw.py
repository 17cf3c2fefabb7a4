"""Pictures of what a model makes of its input, into a run's `figures/` folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from maskjax import data as data_layer
from maskjax import evaluation, masking, tasks
from maskjax.data.folder import SUFFIXES as IMAGE_SUFFIXES
from maskjax.training import workdir as layout
from maskjax.training.loggers import read_metrics
from maskjax.training.rule_masks import picture_runtime, rule_masks
from maskjax.training.run import load_state
from maskjax.training.state import TrainState
from maskjax.training.step import eval_keys
from maskjax.typing import Params

_RULE_EXAMPLES = 4  # columns of the sheet of rules


def draw(task: Any, state: TrainState, data: Any, config: Any, workdir: Path) -> dict[str, Figure]:
    """Draw the pictures of a run and save them as PNG.

    Args:
        task: Has `reconstruct`, `grid`, `target` and `patch_size`.
        state: The state to show; its averaged parameters where it has them.
        data: Has `examples` and `denormalise`.
        config: The run's.
        workdir: The run's folder.

    Returns:
        The figures by name; each is saved as `figures/NAME.png`.
    """
    count = config.figures.num_examples
    split = "eval" if data.num_eval else "train"
    inputs = data.examples(split, max(count, 1))
    figures = {}
    if count and len(inputs) and len(task.grid) <= 3:
        panel = reconstructions(task, state.eval_params, data, config, inputs)
        figures["reconstructions"] = panel
    if len(inputs) and len(task.grid) == 2:
        figures["rules"] = rules(task, data.denormalise(inputs[0]).clip(0, 1), config)
    rows = read_metrics(workdir)
    if rows:
        figures["loss"] = evaluation.loss_curve(rows, loss_label=_loss_label(config))
    for name, figure in figures.items():
        evaluation.save_figure(figure, workdir / layout.FIGURES / f"{name}.png")
    return figures


def draw_workdir(workdir: Path, images: Sequence[Path] = ()) -> list[Path]:
    """Draw a finished or running run from its newest checkpoint.

    Args:
        workdir: The run's folder.
        images: Files or folders of images of one's own, drawn into `figures/own_images.png`.

    Returns:
        Paths of the pictures.

    Raises:
        FileNotFoundError: no run, no checkpoint yet, or no such image.
        ValueError: the images do not fit the run's data.
    """
    config = _read_config(workdir)
    data = data_layer.build(config.data, seed=config.seed, batch_size=config.batch_size)
    task = tasks.build(config, data)
    files = [file for path in images for file in _image_files(path)]
    own = [data.read_image(file) for file in files]
    state = load_state(task, config, workdir)
    figures = draw(task, state, data, config, workdir)
    if files:
        names = [file.name for file in files]
        figure = reconstructions(task, state.eval_params, data, config, np.stack(own), names)
        evaluation.save_figure(figure, workdir / layout.FIGURES / "own_images.png")
        figures["own_images"] = figure
    return [workdir / layout.FIGURES / f"{name}.png" for name in figures]


def _read_config(workdir: Path) -> Any:
    path = workdir / layout.CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{workdir} holds no run: give the --workdir of a training run")
    return ConfigDict(json.loads(path.read_text())["config"])


def _image_files(path: Path) -> list[Path]:
    """The file itself, or the images directly in a folder."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{path}: no images; files must end in {', '.join(IMAGE_SUFFIXES)}")
    return files


def reconstructions(
    task: Any,
    params: Params,
    data: Any,
    config: Any,
    inputs: np.ndarray,
    labels: Sequence[str] | None = None,
) -> Figure:
    """Draw original, what the model saw, prediction, and prediction with the visible part.

    Args:
        task: Has `reconstruct`.
        params: The parameters.
        data: Has `denormalise`.
        config: The run's; seed and total_steps fix the masks.
        inputs: Normalised examples [N, *shape].
        labels: A name for each example.

    Returns:
        The figure.
    """
    keys = eval_keys(config.seed, jnp.arange(len(inputs)))
    parts = jax.jit(task.reconstruct)(params, inputs, keys, jnp.int32(config.total_steps))
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
        is_hidden=np.asarray(parts["is_hidden"]),
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


def _loss_label(config: Any) -> str:
    error = {"l2": "mean square error", "l1": "mean absolute error"}[config.loss.kind]
    unit = {"norm_pix": "normalised patch", "pixels": "normalised input"}[config.loss.target]
    where = {"masked": "hidden patches", "all": "all patches"}[config.loss.on]
    return f"{error}, {where}, {unit}"
