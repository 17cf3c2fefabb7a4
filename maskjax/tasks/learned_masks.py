"""Which weights of a pretrained network take part is learned: any task with masks over its weights.

The weights stay what they are; beside them, "masks/PATH", stands a score of each weight that may be
hidden, and what another task predicts is learned by the scores, and by what is new, as a head. What
such a run has to keep is its `artefact`: a bit a weight, or the few weights that changed.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from maskjax import tasks
from maskjax.evaluation.metrics import Mean
from maskjax.masking.parameters import chosen_paths, leaf_paths, matching
from maskjax.masking.parameters.gates import (
    TAU,
    chance_of_open,
    hard_concrete,
    threshold,
    top_k,
)
from maskjax.tasks.options import check_choice
from maskjax.tasks.task import Context, Output, Sums, Task
from maskjax.typing import Array, Batch, Float, Int, Key, Params, PyTree

KINDS = ("threshold", "top_k", "hard_concrete")
MASKS, CHANGES = "masks", "changes"
_SAME = (
    "needs", "loss_label", "positions_per_example", "flops_per_example", "group_size", "leaves_out",
    "architecture", "class_names",
)  # fmt: skip
_FOLD_SCORES = 3  # keeps the draw of scores apart from the model's
_OPEN = 2.0  # log alpha at the beginning: most gates are open


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnedMasks(Task):
    """Another task, on masked weights.

    Attributes:
        inner: the task.
        on: paths of the leaves that are masked.
        new: paths of the other task's that train.
        kind: "threshold" or "top_k", binary masks of weights that stay as they are; or
            "hard_concrete", gates of what is added to them.
        sparsity: hidden share of each leaf: at the beginning, or always.
        penalty: of the share of open gates.
        seed: of the noise of gates, the same for all examples of a step.
    """

    inner: Task
    on: tuple[str, ...]
    new: tuple[str, ...]
    kind: str
    sparsity: float
    penalty: float
    seed: int

    def __post_init__(self):
        """Say of oneself what the other task says."""
        for name in _SAME:
            object.__setattr__(self, name, getattr(self.inner, name))
        begins = (*self.inner.begins_anew, f"^({MASKS}|{CHANGES})/")
        object.__setattr__(self, "begins_anew", begins)

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the other task's parameters, and scores."""
        params = self.inner.init(key)
        flat = _flat(params)
        keys = jax.random.split(jax.random.fold_in(key, _FOLD_SCORES), len(self.on))
        scores = {path: self._scores(k, flat[path]) for k, path in zip(keys, self.on)}
        found = {**params, MASKS: _nested(scores)}
        if self.kind == "hard_concrete":
            found[CHANGES] = _nested({path: jnp.zeros(flat[path].shape) for path in self.on})
        return found

    def _scores(self, key: Key[Array, ""], leaf: Array) -> Float[Array, "*n"]:
        if self.kind == "hard_concrete":
            return jnp.full(leaf.shape, _OPEN)
        draw = functools.partial(jax.random.uniform, key, leaf.shape)
        if self.kind == "top_k":
            return draw(minval=-TAU, maxval=TAU)
        # As wide as the threshold is high, twice, with such a share of it below.
        return draw(minval=TAU * (1 - 2 * self.sparsity), maxval=TAU * (3 - 2 * self.sparsity))

    def gates(self, params: Params, key: Key[Array, ""] | None = None) -> dict[str, Array]:
        """What each masked leaf is multiplied by, or its changes, by path.

        Args:
            params: all parameters.
            key: of noise, in training; None without.
        """
        scores = _flat(params[MASKS])
        if self.kind == "threshold":
            return {path: threshold(scores[path]) for path in self.on}
        if self.kind == "top_k":
            return {path: top_k(scores[path], self.sparsity) for path in self.on}
        keys = [None if key is None else jax.random.fold_in(key, i) for i in range(len(self.on))]
        return {path: hard_concrete(scores[path], k) for path, k in zip(self.on, keys)}

    def seen(self, params: Params, key: Key[Array, ""] | None = None) -> Params:
        """The other task's parameters, with masked leaves as the model sees them.

        Args:
            params: all parameters.
            key: of noise, in training; None without.
        """
        flat = _flat({k: x for k, x in params.items() if k not in (MASKS, CHANGES)})
        changes = _flat(params.get(CHANGES, {}))
        for path, gate in self.gates(params, key).items():
            is_added = self.kind == "hard_concrete"
            flat[path] = flat[path] + gate * changes[path] if is_added else flat[path] * gate
        return _nested(flat)

    def loss(self, params: Params, batch: Batch, context: Context) -> Sums:
        """Sum the other task's loss at what is seen, and in training the penalty of open gates.

        Args:
            params: all parameters.
            batch: as the other task has it.
            context: the other task's; gates draw by the step.
        """
        key = jax.random.fold_in(jax.random.key(self.seed), context.step) if context.train else None
        sums = self.inner.loss(self.seen(params, key), batch, self._inner(context))
        if self.kind == "hard_concrete":
            shares = [chance_of_open(x).sum() for x in jax.tree.leaves(params[MASKS])]
        else:
            shares = [x.sum() for x in self.gates(params).values()]
        size = sum(x.size for x in jax.tree.leaves(params[MASKS]))
        share = sum(shares) / size
        metrics = {**sums.metrics, "open_share": Mean(share * sums.weight, sums.weight)}
        if context.train and self.kind == "hard_concrete":
            sums = sums._replace(loss=sums.loss + self.penalty * share * sums.weight)
        return sums._replace(metrics=metrics)

    def _inner(self, context: Context) -> Context:
        if context.average is None:
            return context
        return dataclasses.replace(context, average=self.seen(context.average))

    def start(self) -> PyTree:
        """Make the other task's memory."""
        return self.inner.start()

    def remember(self, memory: PyTree, statistics: PyTree, step: Int[Array, ""]) -> PyTree:
        """Move the other task's memory."""
        return self.inner.remember(memory, statistics, step)

    def outputs(self) -> Mapping[str, Output]:
        """Name those of the other task."""

        def of(output: Output) -> Output:
            return lambda params, batch, context: output(
                self.seen(params), batch, self._inner(context)
            )

        return {name: of(output) for name, output in self.inner.outputs().items()}

    def without_adapters(self, params: Params) -> tuple[Task, Params]:
        """The other task, and weights with their masks on."""
        return self.inner.without_adapters(self.seen(params))

    def baselines(self, data: Any, split: str) -> Mapping[str, float]:
        """Judge what learns less."""
        return self.inner.baselines(data, split)

    def show(self, params: Params, batch: Batch, context: Context) -> dict[str, Any]:
        """Make the other task's panels."""
        return self.inner.show(self.seen(params), batch, self._inner(context))

    def artefact(self, params: Params) -> dict[str, np.ndarray]:
        """What has to be kept beside the weights that a run began with.

        Args:
            params: all parameters.

        Returns:
            By path: bits of the masks; or the places of open gates, as numbers or as bits, whatever
            is less, and what is added there; and whole leaves that are new.
        """
        flat = _flat(jax.tree.map(jnp.asarray, params))
        kept = {f"leaf/{path}": np.asarray(flat[path]) for path in self.new}
        for path, gate in self.gates(_nested(flat)).items():
            gate = np.asarray(gate)
            bits, at = np.packbits(gate > 0), np.flatnonzero(gate)
            if self.kind != "hard_concrete":
                kept[f"mask/{path}"] = bits
                continue
            is_rare = 4 * at.size < bits.size
            kept |= {f"at/{path}": at.astype(np.uint32)} if is_rare else {f"open/{path}": bits}
            kept[f"add/{path}"] = (gate * np.asarray(flat[f"{CHANGES}/{path}"])).ravel()[at]
        return kept


def with_artefact(params: Params, artefact: Mapping[str, np.ndarray]) -> Params:
    """Put an artefact on the weights that its run began with.

    Args:
        params: of the other task: the encoder, and any head.
        artefact: from `LearnedMasks.artefact`.

    Returns:
        What the model was applied to there.
    """
    flat = {path: np.array(leaf, order="C") for path, leaf in _flat(params).items()}
    for name, found in artefact.items():
        how, _, path = name.partition("/")
        if how == "leaf":
            flat[path] = found
        elif how == "mask":
            flat[path] = flat[path] * _unpacked(found, flat[path]).astype(flat[path].dtype)
        elif how == "add":
            at = artefact.get(f"at/{path}")
            if at is None:
                at = np.flatnonzero(_unpacked(artefact[f"open/{path}"], flat[path]))
            flat[path].reshape(-1)[at] += found
    return _nested(flat)


def _unpacked(bits: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, count=leaf.size).reshape(leaf.shape)


def build(config: Any, data: Any) -> LearnedMasks:
    """Make the task that a config describes.

    Args:
        config: the whole config; "learned" and "optimizer.frozen" are read, and what the other
            task reads.
        data: the other task's.

    Returns:
        The task.

    Raises:
        ValueError: an option that does not fit, or masked weights that would be trained.
    """
    options = config.learned
    if options.task == config.task:
        raise ValueError(
            f"learned.task {options.task!r} is this task itself: give the one that is learned on "
            "masked weights, as 'classify'"
        )
    check_choice("learned.kind", options.kind, KINDS)
    if not 0 <= options.sparsity < 1 or not options.penalty >= 0:
        raise ValueError(
            f"learned.sparsity {options.sparsity} must be at least 0 and below 1, and "
            f"learned.penalty {options.penalty} at least 0"
        )
    other = config.copy_and_resolve_references()
    with other.unlocked():
        other.task = options.task
    inner = tasks.build(other, data)
    paths = leaf_paths(jax.eval_shape(inner.init, jax.random.key(0)))
    on = chosen_paths("learned", tuple(options.include), tuple(options.exclude), paths)
    added = [f"{MASKS}/{path}" for path in on]
    frozen = matching("optimizer.frozen", tuple(config.optimizer.frozen), [*paths, *added])
    if loose := on - frozen:
        raise ValueError(
            f"optimizer.frozen {tuple(config.optimizer.frozen)} lets {min(loose)} train, which "
            "learned masks hide: set it to ('^encoder/',), or name the leaf in learned.exclude"
        )
    return LearnedMasks(
        inner=inner,
        on=tuple(path for path in paths if path in on),
        new=tuple(path for path in paths if path not in on | frozen),
        kind=options.kind,
        sparsity=options.sparsity,
        penalty=options.penalty,
        seed=config.seed,
    )


def _flat(params: Params) -> dict[str, Any]:
    return traverse_util.flatten_dict(params, sep="/")


def _nested(flat: Mapping[str, Any]) -> Params:
    return traverse_util.unflatten_dict(dict(flat), sep="/")
