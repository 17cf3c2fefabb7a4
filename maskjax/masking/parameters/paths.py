"""Which leaves of a parameter tree may be pruned: regular expressions on their paths."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import jax

from maskjax.spelling import listed, nearest_paths
from maskjax.typing import PyTree

# What is commonly left dense, to be given as `exclude`: biases, norms' scales, embeddings (of
# tokens, their types, patches, positions), learned tokens. A "table" is one of embeddings.
USUALLY_DENSE = (
    r"(^|/)(bias|scale)$", r"(?i)norm", r"(?i)embed|position|token$", r"(^|/)(table|types)$",
)  # fmt: skip


def leaf_paths(params: PyTree) -> list[str]:
    """The paths of the leaves, their keys joined by "/", in the order of `jax.tree.leaves`.

    Args:
        params: any pytree.

    Returns:
        One path per leaf.

    Examples:
        >>> leaf_paths({"head": {"kernel": 0, "bias": 0}, "blocks": [1, 2]})
        ['blocks/0', 'blocks/1', 'head/bias', 'head/kernel']
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


def eligible(
    params: PyTree, *, exclude: str | tuple[str, ...], include: str | tuple[str, ...] = ("",)
) -> PyTree:
    """Which leaves may be pruned.

    As a tree of one flag per leaf this is also what `optax.masked` takes; that, however, hands the
    gradients of the other leaves on unchanged, as their updates.

    Args:
        params: arrays, or anything else in their place.
        exclude: a leaf is left dense where one of these regular expressions, or the one, is found
            in its path (`re.search`); `USUALLY_DENSE`, or () for none.
        include: and where none of these is; "" is found in every path.

    Returns:
        The tree with True for what may be pruned.

    Raises:
        ValueError: what is no regular expression, one of `include` that is found in no path, or no
            leaf left to prune.

    Examples:
        >>> eligible({"Dense_0": {"kernel": 0, "bias": 0}}, exclude=USUALLY_DENSE)
        {'Dense_0': {'bias': False, 'kernel': True}}
    """
    exclude, include = _patterns("exclude", exclude), _patterns("include", include)
    paths = leaf_paths(params)
    included = matching("include", include, paths)
    flags = [
        path in included and not any(re.search(pattern, path) for pattern in exclude)
        for path in paths
    ]
    if not any(flags):
        raise ValueError(f"exclude {exclude} leaves nothing to prune; the paths: {paths}")
    return jax.tree.unflatten(jax.tree.structure(params), flags)


def matching(name: str, patterns: str | tuple[str, ...], paths: Sequence[str]) -> frozenset[str]:
    """The paths in which one of some regular expressions is found (`re.search`).

    Args:
        name: of the patterns, for errors.
        patterns: regular expressions, or one.
        paths: from `leaf_paths`.

    Returns:
        Those of the paths.

    Raises:
        ValueError: what is no regular expression, or one that is found in no path.

    Examples:
        >>> sorted(matching("frozen", "^a/", ["a/kernel", "b/kernel"]))
        ['a/kernel']
    """
    found: set[str] = set()
    for pattern in _patterns(name, patterns):
        here = [path for path in paths if re.search(pattern, path)]
        if not here:
            near = nearest_paths(pattern.strip("^$"), paths, 3)
            raise ValueError(
                f"{name} {pattern!r} is found in none of the {len(paths)} paths of the "
                f"parameters; the nearest: {', '.join(near)}"
            )
        found.update(here)
    return frozenset(found)


def chosen_paths(
    section: str,
    include: Sequence[str],
    exclude: Sequence[str],
    paths: Sequence[str],
    frozen: frozenset[str] = frozenset(),
    known: Collection[str] = (),
) -> frozenset[str]:
    """The paths that "include" and "exclude" of a section of a config choose.

    Args:
        section: its name, for errors.
        include: regular expressions; () for all but what is `USUALLY_DENSE`.
        exclude: those of what is left out.
        paths: from `leaf_paths`.
        frozen: those of leaves that nothing changes.
        known: what to choose from, in place of the usual: those of which a file has masks.

    Returns:
        Those of the paths.

    Raises:
        ValueError: an expression that finds nothing, or nothing that is left.
    """
    dense = {path for path in paths if any(re.search(x, path) for x in USUALLY_DENSE)}
    usual = {*known} or {*paths} - dense
    found = matching(f"{section}.include", tuple(include), paths) if include else usual
    excluded = matching(f"{section}.exclude", tuple(exclude), paths)
    unknown = found - {*known} if known else frozenset()
    chosen = frozenset(found) - excluded - frozen - unknown
    if not chosen:
        why = {"frozen": found & frozen, f"in {section}.exclude": found & excluded}
        why |= {"without a mask in the file": unknown}
        told = "; ".join(f"{how}: {listed(sorted(which))}" for how, which in why.items() if which)
        raise ValueError(
            f"{section} leaves nothing to hide of {len(paths)} leaves ({told}): widen "
            f"{section}.include, or do without {section}"
        )
    return chosen


def _patterns(name: str, given: Any) -> tuple[str, ...]:
    patterns = (given,) if isinstance(given, str) else given
    try:
        return tuple(re.compile(pattern).pattern for pattern in patterns)
    except (TypeError, re.error) as error:
        raise ValueError(
            f"{name} {given!r} ({error}): give regular expressions, or () for none"
        ) from None


_SOURCES = {
    "sparsities": "; uniform(params, is_eligible, sparsity=0.5) gives one",
    "is_eligible": "; eligible(params, exclude=USUALLY_DENSE) gives one",
    "param_masks": "; cut_leaves(scores, sparsities) gives one",
}


def leaves_like(name: str, tree: Any, of: str, like: PyTree) -> list[Any]:
    """The leaves of a tree that must have those of another, which is the argument `of`."""
    try:
        return jax.tree.structure(like).flatten_up_to(tree)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:100]
        raise ValueError(
            f"{name} is no tree like {of} ({reason}): give a value per leaf, None where there is "
            f"none{_SOURCES.get(name, '')}"
        ) from None
