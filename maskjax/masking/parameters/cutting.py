"""From scores to the masks of a run: what may be hidden, how much of it, as one or singly."""

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.masking.parameters import prune, timing
from maskjax.masking.parameters.granularity import HEADS, groups_of, once_a_layer, same_in_layer
from maskjax.masking.parameters.grow import regrow
from maskjax.masking.parameters.options import Options
from maskjax.masking.parameters.paths import chosen_paths, leaf_paths, matching
from maskjax.masking.parameters.sparsities import erk, num_masked_from_sparsity, uniform
from maskjax.masking.registry import Rule, make_rule
from maskjax.spelling import listed
from maskjax.typing import Array, Int, Key, Params, PyTree

_SOFT, _GROWN = 1, 2  # folded into the key of a change


@dataclasses.dataclass(frozen=True, eq=False)
class Cutting:
    """How masks are made.

    Attributes:
        options: of the run.
        sparsities: hidden share, at the end, of each leaf that may be hidden; None for others.
        groups: what is hidden as one, for the same leaves.
        given: their masks, where a file has them.
    """

    options: Options
    sparsities: PyTree
    groups: PyTree
    given: PyTree = None

    def of(self, tree: PyTree) -> PyTree:
        """The leaves that may be hidden, and None for others."""
        chosen = jax.tree.structure(tree, is_leaf=_is_none).flatten_up_to(self.sparsities)
        leaves, structure = jax.tree.flatten(tree, is_leaf=_is_none)
        return structure.unflatten([None if s is None else x for x, s in zip(leaves, chosen)])

    def first(self, key: Key[Array, ""], params: Params) -> PyTree:
        """The masks before the first step.

        Args:
            key: root of what masks draw.
            params: of the beginning.
        """
        if self.given is not None:
            return jax.tree.map(jnp.asarray, self.given)
        rule = "random" if self.options.grows else self.options.rule
        losses = (jnp.float32(0), jnp.float32(0))
        return self._cut(rule, key, 0, params, None, 0, losses)

    def next(
        self,
        key: Key[Array, ""],
        number: Int[Array, ""],
        params: Params,
        seen: PyTree,
        masks: PyTree,
        changes: Int[Array, ""],
        losses: Any,
    ) -> PyTree:
        """The masks of a change.

        Args:
            key: root of what masks draw.
            number: steps done.
            params: the weights that are scored.
            seen: the gradient, or what was summed over steps.
            masks: before.
            changes: how many there were.
            losses: the first and a running mean, for the schedule "error".
        """
        options = self.options
        if self.given is not None:
            return masks
        if not options.grows:
            return self._cut(options.rule, key, number, params, seen, changes, losses)
        key = jax.random.fold_in(key, number)
        drop = self._scores(options.rule, key, params, seen, changes, self.sparsities)
        if options.grow == "gradient":
            grow = jax.tree.map(abs, self.of(seen))
        else:
            noise = jax.random.fold_in(key, _GROWN)
            grow = self._scores("random", noise, params, seen, changes, self.sparsities)
        share = timing.share_dropped(options, number)

        def regrown(kept: Array, drop: Array, grow: Array, sparsity: float) -> Array:
            num_masked = min(int(num_masked_from_sparsity(kept.size, sparsity)), kept.size - 1)
            num_dropped = jnp.floor(share * (kept.size - num_masked)).astype(jnp.int32)
            return regrow(kept, drop, grow, num_dropped)

        return jax.tree.map(regrown, masks, drop, grow, self.sparsities)

    def _scores(
        self, rule: str, key: Any, params: Params, seen: PyTree, changes: Any, sparsities: PyTree
    ) -> PyTree:
        made, takes = _rule(rule, self.options)
        runtime = {"gradients": seen, "movement": seen, "step": changes}
        runtime = {name: x for name, x in runtime.items() if name in takes}
        return prune.score_leaves(made, key, params, sparsities, **runtime)

    def _cut(
        self,
        rule: str,
        key: Key[Array, ""],
        number: Any,
        params: Params,
        seen: PyTree,
        changes: Any,
        losses: Any,
    ) -> PyTree:
        """Score the weights, pool the scores, cut, and spread what came out over the weights."""
        options = self.options
        # What rises is one order that is cut ever deeper; else each change draws anew.
        key = jax.random.fold_in(key, 0 if options.is_ramp else number)
        reached = timing.share_reached(options, number, losses)
        shares = jax.tree.map(lambda share: share * reached, self.sparsities)
        scores = self._scores(rule, key, params, seen, changes, shares)
        if options.n_of_m:
            masks = prune.cut_n_of_m(scores, *options.n_of_m)
        else:
            pooled = jax.tree.map(lambda x, groups: groups.pool(x), scores, self.groups)
            is_of_heads, share = options.granularity == "head", options.sparsity * reached
            if is_of_heads:
                pooled = same_in_layer(pooled)
            if options.scope != "global":
                cut = prune.cut_leaves(pooled, shares)
            elif is_of_heads:  # whose scores tie in a layer: a count could end between its kernels
                cut = once_a_layer(lambda heads: prune.cut_globally(heads, share), pooled)
            else:
                cut = prune.cut_globally(pooled, share)
            masks = jax.tree.map(lambda x, groups: groups.spread(x), cut, self.groups)
        return self._softened(masks, jax.random.fold_in(key, _SOFT))

    def _softened(self, masks: PyTree, key: Key[Array, ""]) -> PyTree:
        """Factors in [1 - softness, 1) in place of flags, where masks are soft."""
        least = 1 - self.options.softness
        if least == 1:
            return masks
        leaves, structure = jax.tree.flatten(masks)

        def soften(number: int, kept: Array) -> Array:
            factors = jax.random.uniform(jax.random.fold_in(key, number), kept.shape)
            return jnp.where(kept, least + (1 - least) * factors, 0.0)

        return structure.unflatten([soften(*pair) for pair in enumerate(leaves)])


def make_cutting(
    options: Options,
    params: Params,
    frozen: frozenset[str] = frozenset(),
    given: Mapping[str, Any] | None = None,
) -> Cutting:
    """Settle what may be hidden of a model, and how much of each leaf.

    Args:
        options: of the run.
        params: the parameters, or their shapes.
        frozen: paths of leaves that keep their values, and are not hidden.
        given: masks by path, for the rule "file"; None for leaves without one.

    Returns:
        The cutting.

    Raises:
        ValueError: a rule on paths that finds nothing, nothing to hide, a leaf that groups do not
            fit, or masks of another model.
    """
    paths, leaves = leaf_paths(params), jax.tree.leaves(params)
    structure = jax.tree.structure(params)
    masks = None
    include = options.include or ((HEADS,) if options.granularity == "head" else ())
    if options.rule == "file":
        known = _given(given or {}, dict(zip(paths, leaves)))
        chosen = chosen_paths("param_masks", include, options.exclude, paths, frozen, {*known})
        masks = structure.unflatten([known[path] if path in chosen else None for path in paths])
    else:
        chosen = chosen_paths("param_masks", include, options.exclude, paths, frozen)
    flags = structure.unflatten([path in chosen for path in paths])
    if options.rule == "file":
        sparsities = jax.tree.map(lambda mask: float(1 - mask.mean()), masks)
    elif options.n_of_m:
        sparsities = uniform(params, flags, sparsity=1 - options.n_of_m[0] / options.n_of_m[1])
    else:
        spread = erk if options.density == "erk" else uniform
        sparsities = spread(params, flags, sparsity=options.sparsity)
        sparsities = _with_own(options.sparsities, sparsities, paths, chosen, structure)
    if options.n_of_m:
        shapes = [x if path in chosen else None for path, x in zip(paths, leaves)]
        kept, group = options.n_of_m
        cut = functools.partial(prune.cut_n_of_m, num_kept=kept, group=group)
        try:
            jax.eval_shape(cut, structure.unflatten(shapes))
        except ValueError as error:
            raise ValueError(
                f"{error}, with param_masks.exclude or param_masks.granularity"
            ) from None
    unit = "entry" if options.n_of_m else options.granularity
    groups = [
        groups_of(unit, path, tuple(leaf.shape), options.tile, options.num_heads)
        if path in chosen
        else None
        for path, leaf in zip(paths, leaves)
    ]
    return Cutting(options, sparsities, structure.unflatten(groups), masks)


def _with_own(
    pairs: Any, sparsities: PyTree, paths: list[str], chosen: frozenset[str], structure: Any
) -> PyTree:
    """Put the shares of `param_masks.sparsities` into their places."""
    shares = dict(zip(paths, structure.flatten_up_to(sparsities)))
    for pair in pairs:
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
        if not (is_pair and isinstance(pair[1], int | float) and 0 <= pair[1] < 1):
            raise ValueError(
                f"param_masks.sparsities holds {pair!r}: give pairs of a regular expression and a "
                "share of at least 0 and below 1, as in (('^head/', 0.5),)"
            )
        for path in matching("param_masks.sparsities", pair[0], sorted(chosen)):
            shares[path] = float(pair[1])
    return structure.unflatten([shares[path] for path in paths])


def _given(masks: Mapping[str, Any], leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The masks of a file, if they are of this model, or of parts of it, as "encoder"."""
    found = {path: mask for path, mask in masks.items() if mask is not None}
    parts = {path.partition("/")[0] for path in found}
    theirs, ours = ({x for x in it if x.partition("/")[0] in parts} for it in (masks, leaves))
    is_whole = len(found) < len(masks)  # an older file names no leaf without a mask
    other = [
        f"{path} {list(mask.shape)}, here {list(leaves[path].shape)}"
        for path, mask in found.items()
        if path in leaves and tuple(mask.shape) != tuple(leaves[path].shape)
    ]
    problems = {
        "has besides": sorted(theirs - ours),
        "lacks": sorted(ours - theirs) if is_whole else [],
        "has in another shape": other,
    }
    told = "; ".join(f"it {verb} {listed(x)}" for verb, x in problems.items() if x)
    if told or not found:
        raise ValueError(
            f"param_masks.file is of another model ({told or 'it has no masks'}): set the same "
            "model keys as there, or take the masks of a run of this model"
        )
    if empty := [path for path, mask in found.items() if not mask.any()]:
        raise ValueError(
            f"param_masks.file keeps nothing of {listed(empty)}: give masks that keep a weight "
            "of each leaf"
        )
    return found


def _rule(name: str, options: Options) -> tuple[Rule, set[str]]:
    """A rule with what the options say of it, and the names of what it takes."""
    takes = {*inspect.signature(make_rule(name)).parameters}
    mine = {"tile": options.tile, "stride": options.stride}
    return make_rule(name, **{key: x for key, x in mine.items() if key in takes}), takes


def _is_none(x: Any) -> bool:
    return x is None
