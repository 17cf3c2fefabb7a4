"""Score the leaves of a parameter tree, cut them, apply what is left."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.masking.checks import as_array, check_key, check_shapes, check_whole, known, wide_dtype
from maskjax.masking.core import lowest
from maskjax.masking.drawing import score
from maskjax.masking.parameters.paths import leaf_paths, leaves_like
from maskjax.masking.parameters.select import hide_highest, place_in_row
from maskjax.masking.parameters.sparsities import num_masked_from_sparsity
from maskjax.masking.registry import Rule, check_rule
from maskjax.typing import Array, Float, Key, PyTree


def score_leaves(
    rule: Rule,
    key: Key[Array, ""],
    params: PyTree,
    sparsities: PyTree,
    *,
    gradients: PyTree | None = None,
    movement: PyTree | None = None,
    **runtime: Any,
) -> PyTree:
    """The scores that a rule gives to every weight that may be pruned.

    Args:
        rule: from `make_rule`.
        key: folded with the number of the leaf among all leaves.
        params: the weights, for rules that look at them.
        sparsities: of each leaf, None = never pruned (`uniform`, `erk`, `cubic`); from it rules
            are told how many weights will be hidden.
        gradients: of the loss, as `params`, for rules that look at them.
        movement: `accumulate_movement`, as `params`, for rules that look at it.
        **runtime: what else the rule needs, the same for all leaves: `step`.

    Returns:
        The tree with the scores of each leaf, and None where it is never pruned.

    Raises:
        ValueError: as `masking.score`, or a tree that is not like `params`.

    Examples:
        >>> from maskjax.masking import make_rule
        >>> params = {"kernel": jnp.array([[1.0, -3.0]]), "bias": jnp.zeros(2)}
        >>> sparsities = {"kernel": 0.5, "bias": None}
        >>> scores = score_leaves(make_rule("magnitude"), jax.random.key(0), params, sparsities)
        >>> scores["kernel"].tolist(), scores["bias"]
        ([[-1.0, -3.0]], None)
    """
    check_rule(rule)
    check_key(key)
    trees = {"gradients": gradients, "movement": movement}
    trees = {name: tree for name, tree in trees.items() if tree is not None}
    if "weights" in inspect.signature(rule).parameters:
        trees["weights"] = params
    leaves, structure = jax.tree.flatten(params)
    columns = {name: leaves_like(name, tree, "params", params) for name, tree in trees.items()}

    def score_leaf(index: int, leaf: Array, sparsity: Any) -> Array | None:
        if sparsity is None:
            return None
        shape = leaf.shape or (1,)
        keys = jax.random.fold_in(key, index)[None]
        values = {name: column[index].reshape(1, *shape) for name, column in columns.items()}
        num_masked = num_masked_from_sparsity(leaf.size, sparsity)
        num_masked = num_masked if isinstance(num_masked, int) else num_masked[None]
        return score(rule, keys, shape, num_masked, **values, **runtime).reshape(leaf.shape)

    shares = leaves_like("sparsities", sparsities, "params", params)
    return structure.unflatten([score_leaf(i, *pair) for i, pair in enumerate(zip(leaves, shares))])


def accumulate_movement(movement: PyTree, params: PyTree, gradients: PyTree) -> PyTree:
    """Adds one step to what the rule `movement` looks at: -w g.

    Sanh et al. 2020 (Movement Pruning, section 4), without the learning rate of the
    scores, which does not change their order.

    Args:
        movement: the sum so far, zeros at first, in float32: fewer bits lose small steps.
        params: the weights.
        gradients: of the loss, with respect to the masked weights.

    Returns:
        The sum, float32 at least.

    Examples:
        >>> params, gradients = jnp.array([1.0, -2.0]), jnp.array([3.0, 4.0])
        >>> accumulate_movement(jnp.zeros(2), params, gradients).tolist()
        [-3.0, 8.0]
    """

    def add(movement: Array, weights: Array, gradients: Array) -> Array:
        dtype = wide_dtype(movement.dtype)
        weights, gradients = as_array("params", weights), as_array("gradients", gradients)
        return movement.astype(dtype) - weights.astype(dtype) * gradients.astype(dtype)

    leaves, structure = jax.tree.flatten(movement)
    leaves = [as_array("movement", leaf) for leaf in leaves]
    columns = {"params": params, "gradients": gradients}
    columns = [leaves_like(name, tree, "movement", movement) for name, tree in columns.items()]
    return structure.unflatten([add(*row) for row in zip(leaves, *columns)])


def cut_leaves(scores: PyTree, sparsities: PyTree) -> PyTree:
    """Hides a share of each leaf: its highest scores. At least one weight of each is kept.

    Of equal scores the lowest index is kept, as by `jax.lax.top_k` over what is kept.

    Args:
        scores: of each leaf, None = never pruned (`score_leaves`).
        sparsities: of each leaf (`uniform`, `erk`); may be traced (`cubic`).

    Returns:
        param_masks: the tree with True for what is kept, None for leaves that are never pruned.

    Raises:
        ValueError: a static sparsity outside [0, 1), or sparsities that are not like the scores.

    Examples:
        >>> scores = {"kernel": jnp.array([-1.0, -3.0, -3.0, -3.0]), "bias": None}
        >>> param_masks = cut_leaves(scores, {"kernel": 0.5, "bias": None})
        >>> param_masks["kernel"].astype(int).tolist(), param_masks["bias"]
        ([0, 1, 1, 0], None)
    """

    def cut_leaf(scores: Array, sparsity: Any) -> Array:
        scores = as_array("scores", scores)
        num_masked = jnp.asarray(num_masked_from_sparsity(scores.size, sparsity))
        is_masked = hide_highest(scores.reshape(-1), jnp.minimum(num_masked, scores.size - 1))
        return ~is_masked.reshape(scores.shape)

    leaves, structure = jax.tree.flatten(scores)
    shares = leaves_like("sparsities", sparsities, "scores", scores)
    return structure.unflatten([cut_leaf(*pair) for pair in zip(leaves, shares)])


def cut_globally(scores: PyTree, sparsity: int | float | Float[Array, ""]) -> PyTree:
    """Hides a share of all leaves together: one cut over their scores, end to end.

    The weight of each leaf that would be hidden last stays. Of equal scores the lowest index is
    kept, the leaves in the order of `jax.tree.leaves`.

    Args:
        scores: of each leaf, None = never pruned (`score_leaves`); comparable between leaves.
        sparsity: hidden share of all that is scored; may be traced (`cubic`).

    Returns:
        param_masks: as `cut_leaves`.

    Raises:
        ValueError: a static sparsity outside [0, 1), or 2^31 weights and more.

    Examples:
        >>> scores = {"a": jnp.array([-4.0, -5.0, -6.0]), "b": jnp.array([-1.0, -2.0])}
        >>> jax.tree.map(lambda leaf: leaf.astype(int).tolist(), cut_globally(scores, 0.4))
        {'a': [0, 1, 1], 'b': [0, 1]}
    """
    leaves, structure = jax.tree.flatten(scores)
    leaves = [as_array("scores", leaf) for leaf in leaves]
    if not leaves:
        raise ValueError("scores has no leaf to prune; score_leaves makes them")
    flat = []
    for leaf in leaves:
        row = leaf.reshape(-1)
        flat.append(row.at[lowest(row)].set(-jnp.inf))
    sizes = [leaf.size for leaf in leaves]
    num_masked = jnp.asarray(num_masked_from_sparsity(sum(sizes), sparsity))
    is_masked = hide_highest(jnp.concatenate(flat), num_masked)
    starts = [sum(sizes[:i]) for i in range(1, len(sizes))]
    parts = jnp.split(is_masked, starts)
    return structure.unflatten([~part.reshape(leaf.shape) for part, leaf in zip(parts, leaves)])


def cut_n_of_m(scores: PyTree, num_kept: int, group: int, *, axis: int = -2) -> PyTree:
    """Keeps N of every M successive weights along an axis: 2 of 4 is what NVIDIA's cores take.

    Mishra et al. 2021 (Accelerating Sparse Deep Neural Networks).

    Args:
        scores: of each leaf, None = never pruned (`score_leaves`).
        num_kept: N, from 1 to M.
        group: M; it must divide the axis.
        axis: along which the groups lie. -2 is the inputs' axis of Linen's kernels, over which
            their products sum, as the hardware wants it.

    Returns:
        param_masks: as `cut_leaves`.

    Raises:
        ValueError: N outside 1 ... M, or a leaf without such an axis or with one that M does not
            divide; the message names the leaf.

    Examples:
        >>> scores = {"kernel": jnp.array([[-1.0], [-2.0], [-4.0], [-3.0]])}
        >>> cut_n_of_m(scores, 2, 4)["kernel"].astype(int)[:, 0].tolist()
        [0, 0, 1, 1]
    """
    check_whole("num_kept", num_kept, least=None, hint=", the 2 of 2:4")
    check_whole("group", group, hint=", the 4 of 2:4")
    if not 1 <= num_kept <= group:
        raise ValueError(f"num_kept {num_kept} must be from 1 to the {group} of a group")
    for path, leaf in zip(leaf_paths(scores), jax.tree.leaves(scores)):
        if not -leaf.ndim <= axis < leaf.ndim or leaf.shape[axis] % group:
            raise ValueError(
                f"{path} of shape {leaf.shape} has no axis {axis} of a multiple of {group}; "
                "exclude it or choose another axis"
            )

    def cut_leaf(scores: Array) -> Array:
        rows = jnp.moveaxis(scores, axis, -1)
        groups = rows.reshape(-1, group)
        is_kept = (place_in_row(groups) < num_kept) | (groups == -jnp.inf)
        return jnp.moveaxis(is_kept.reshape(rows.shape), -1, axis)

    return jax.tree.map(cut_leaf, scores)


def apply(params: PyTree, param_masks: PyTree) -> PyTree:
    """The weights with zeros for what is hidden.

    To be used wherever the model is applied, evaluation included. Nothing less holds: with masked
    gradients alone momentum and weight decay still move hidden weights. `optax.masked` refuses
    masks of single weights such as these.

    Args:
        params: the weights.
        param_masks: True or 1 = kept, None = a leaf that is never pruned.

    Returns:
        The tree of `params`. Hidden weights get zero gradient through it.

    Raises:
        ValueError: a tree that is not like `params`, or numbers, unless traced, other than 0 and 1.

    Examples:
        >>> apply({"a": jnp.array([3.0, 4.0])}, {"a": jnp.array([True, False])})["a"].tolist()
        [3.0, 0.0]
    """

    def apply_leaf(path: str, weights: Array, kept: Array | None) -> Array:
        if kept is None:
            return weights
        kept = _as_flags(path, kept)
        weights = as_array("params", weights)
        check_shapes("weights", weights.shape, **{path: kept})
        return jnp.where(kept.astype(bool), weights, jnp.zeros((), weights.dtype))

    leaves, structure = jax.tree.flatten(params)
    kept = leaves_like("param_masks", param_masks, "params", params)
    paths = leaf_paths(params)
    return structure.unflatten([apply_leaf(*row) for row in zip(paths, leaves, kept)])


def sparsity(param_masks: PyTree) -> dict[str, Float[Array, ""]]:
    """The hidden share of each leaf that can be pruned, and of all of them together.

    Args:
        param_masks: from one of the cuts.

    Returns:
        Shares by path, and "total".

    Examples:
        >>> shares = sparsity({"a": jnp.array([True, False]), "b": jnp.ones(6, bool), "c": None})
        >>> {name: float(share) for name, share in shares.items()}
        {'a': 0.5, 'b': 0.0, 'total': 0.125}
    """
    paths = leaf_paths(param_masks)
    leaves = [_as_flags(*pair) for pair in zip(paths, jax.tree.leaves(param_masks))]
    hidden = [(leaf.size - leaf.astype(jnp.int32).sum()).astype(jnp.float32) for leaf in leaves]
    shares = {path: h / leaf.size for path, h, leaf in zip(paths, hidden, leaves)}
    return shares | {"total": jnp.stack(hidden).sum() / sum(leaf.size for leaf in leaves)}


def _as_flags(path: str, kept: Any) -> Array:
    """The mask of a leaf, as it is; what is known to hold other numbers may be its scores."""
    kept = as_array(f"param_masks {path}", kept)
    numbers = None if kept.dtype == bool else known(kept)
    if numbers is not None and ((numbers != 0) & (numbers != 1)).any():
        raise ValueError(
            f"param_masks {path} holds numbers other than 0 and 1: give flags; cut_leaves makes "
            "them of scores"
        )
    return kept
