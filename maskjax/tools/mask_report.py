"""What masks did to the weights of a run: sparsity, overlap, and what each leaf is worth.

run  ->  columns by leaf  ->  sparsity.md, sparsity.png, weights.png, mask_changes.png
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import evaluation, tasks
from maskjax import workdir as layout
from maskjax.evaluation.figures.comparison import comparison_panel
from maskjax.evaluation.figures.weights import change_map, weight_histograms
from maskjax.evaluation.metrics import numbers
from maskjax.masking.parameters import chosen_paths, cut_leaves, leaf_paths
from maskjax.tools.saved import Saved
from maskjax.training.run import initial_state
from maskjax.training.step import eval_context
from maskjax.typing import Params
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.folder import write_atomically
from maskjax.workdir.lines import read_metrics
from maskjax.workdir.masks import changes_by_leaf, own_masks, read_masks

Column = dict[str, float]  # by path
_BATCHES = 4  # of the validation split, that each leaf is judged on


def report(
    run: Saved, out: Path, *, against: Sequence[str] = (), sensitivity: Sequence[float] = ()
) -> list[Path]:
    """Write a table and pictures of a run's weights.

    Args:
        run: an opened run; one without masks has a sensitivity alone.
        out: folder for what is written.
        against: folders of runs, whose masks are laid beside.
        sensitivity: shares of a leaf that are hidden, of each leaf alone, to judge what is left.

    Returns:
        Paths of what was written; nothing where there is nothing to say.

    Raises:
        ValueError: masks of another model, or a share that is none.
    """
    masks = _by_path(run.state.param_masks.masks) if run.state.param_masks else {}
    params = _by_path(run.state.eval_params)
    if not masks and not sensitivity:
        return []
    times = changes_by_leaf(read_metrics(run.folder)) if masks else {}
    others = _of_others(against, params)
    columns = _of_masks(run, masks, others) if masks else {}
    if times:
        columns["changes a weight, in all lines"] = {
            path: sum(of_steps.values()) for path, of_steps in times.items()
        }
    columns |= _sensitivities(run, tuple(sensitivity))
    told = [path for path in params if any(path in column for column in columns.values())]
    values = {  # a leaf that a column lacks leaves its row empty
        name: {path: {0: column[path]} if path in column else {} for path in told}
        for name, column in columns.items()
    }
    figures = {
        "sparsity": comparison_panel(values, title="Weights by leaf"),
        "weights": weight_histograms({path: params[path] for path in told}),
    }
    if any(share for of_steps in times.values() for share in of_steps.values()):
        figures["mask_changes"] = change_map(times)
    for name, figure in figures.items():
        evaluation.save_figure(figure, out / f"{name}.png")
    write_atomically(out / "sparsity.md", _table(columns, {path: params[path] for path in told}))
    return [out / "sparsity.md", *(out / f"{name}.png" for name in figures)]


def _of_masks(
    run: Saved, masks: Mapping[str, np.ndarray], against: list[tuple[str, Mapping[str, np.ndarray]]]
) -> dict[str, Column]:
    """Sparsity, what changed since older checkpoints, and the overlap with these and other runs."""
    columns = {"sparsity": {path: float((x <= 0).mean()) for path, x in masks.items()}}
    before = _of_before(run)
    for name, others in before:
        columns[f"changed since {name}"] = {
            path: float(np.mean((mask > 0) != (others[path] > 0))) for path, mask in masks.items()
        }
    for name, others in (*against, *before):
        columns[f"overlap, {name}"] = {
            path: overlap(mask > 0, others[path] > 0)
            for path, mask in masks.items()
            if path in others and others[path].shape == mask.shape
        }
    return columns


def overlap(kept: np.ndarray, others: np.ndarray) -> float:
    """The share of what one or the other keeps that both keep; 1 where they keep nothing.

    By chance it is d / (2 - d) for two masks that keep a share of d.

    Example:
        >>> overlap(np.array([True, True, False]), np.array([True, False, True]))
        0.3333333333333333
    """
    union = (kept | others).sum()
    return float((kept & others).sum() / union) if union else 1.0


def _by_path(tree: Any) -> dict[str, np.ndarray]:
    return dict(zip(leaf_paths(tree), map(np.asarray, jax.tree.leaves(jax.device_get(tree)))))


def _of_others(
    folders: Sequence[str], params: Mapping[str, np.ndarray]
) -> list[tuple[str, Mapping[str, np.ndarray]]]:
    """The masks of other runs, which are named by their folders, or, of equal names, the paths."""
    names = [Path(folder).name for folder in folders]
    found = []
    for name, folder in zip(names, folders):
        masks = read_masks(folder, "--against")
        if not any(path in params and params[path].shape == x.shape for path, x in masks.items()):
            raise ValueError(
                f"--against {folder!r}: none of its masks is of a leaf of this run, by path and "
                "shape; give runs of the same model"
            )
        found.append((name if names.count(name) == 1 else folder, masks))
    return found


def _of_before(run: Saved) -> list[tuple[str, Mapping[str, np.ndarray]]]:
    """The masks of older checkpoints that are still there."""
    found, last, folder = [], int(run.state.step), run.folder / layout.CHECKPOINTS
    if not folder.is_dir():
        return []
    with Checkpoints(folder, read_only=True) as checkpoints:
        empty = None
        for step in checkpoints.steps:
            if step < last:
                config = own_masks(run.config, run.folder)
                empty = empty or initial_state(tasks.build(config, run.data), config)
                masks = checkpoints.restore_step(step, empty).param_masks.masks
                found.append((f"step {step}", _by_path(masks)))
    return found


def _sensitivities(run: Saved, shares: Sequence[float]) -> dict[str, Column]:
    """What is left of the validation as each leaf alone loses its smallest weights."""
    if not shares:
        return {}
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"--sensitivity {tuple(shares)}: give shares above 0 and below 1, as 0.9")
    config, data, task = run.config, run.data, run.task
    params = run.state.eval_params
    paths = leaf_paths(params)
    chosen = chosen_paths("param_masks", (), (), paths)
    batches = []
    for batch in itertools.islice(
        data.eval_batches("validation", config.eval.batch_size), _BATCHES
    ):
        first = len(batches) * config.eval.batch_size
        index = np.arange(first, first + len(batch["is_valid"]), dtype=np.int32)
        batches.append(jax.device_put(dict(batch, index=index)))

    @jax.jit
    def sums(params: Params, batch: Any) -> Any:
        context = eval_context(config, batch, run.state.memory)
        return task.loss(params, data.on_device(batch), context)._replace(statistics=())

    def judged(params: Params) -> tuple[str, float]:
        total = jax.device_get(jax.tree.map(lambda *x: sum(x), *(sums(params, b) for b in batches)))
        found = {"loss": float(total.loss / total.weight), **numbers(total.metrics)}
        name = "accuracy" if "accuracy" in found else "loss"
        return name, found[name]

    name, whole = judged(params)
    columns = {}
    leaves, structure = jax.tree.flatten(params)
    for share in shares:
        column: Column = {}
        for place, path in enumerate(paths):
            if path in chosen:
                leaf = leaves[place]
                kept = jnp.where(cut_leaves(-abs(leaf), share), leaf, 0)
                changed = [kept if i == place else x for i, x in enumerate(leaves)]
                column[path] = judged(structure.unflatten(changed))[1]
        columns[f"{name}, {share:.0%} of it hidden ({whole:.4g} of none)"] = column
    return columns


def _table(columns: Mapping[str, Column], leaves: Mapping[str, np.ndarray]) -> str:
    """The columns as a table in Markdown, a row a leaf."""
    lines = ["| leaf | weights | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|"]
    for path, leaf in leaves.items():
        cells = [f"{column[path]:.4f}" if path in column else "" for column in columns.values()]
        lines.append(f"| {path} | {leaf.size} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
