"""Parameter masks that change in training: one engine, which `Options` alone turn into a method.

A step takes the dense gradient, hides a part of it before the optimizer's moments, moves, lets the
masks advance and sets to zero what is hidden (`Engine.step`). What the trainer keeps as parameters
is what a model is applied to: whoever reads them sees masked weights.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.parameters import prune, timing
from maskjax.masking.parameters.cutting import Cutting, make_cutting
from maskjax.masking.parameters.options import Options
from maskjax.masking.parameters.trees import forgotten, masked, times, trained, where
from maskjax.typing import Array, Bool, Float, Int, Key, Params, PyTree

_LOSS_DECAY = 0.9  # of the running loss that "error" follows


class MaskState(NamedTuple):
    """What parameter masks carry from step to step.

    Attributes:
        masks: of each leaf that may be hidden True or, where masks are soft, above 0 for what is
            kept; None for other leaves.
        changes: how often they changed, int32 scalar.
        changed_at: steps done at the last change, -1 before the first.
        aside: weights of those leaves beside what the model sees, where they have a value.
        observed: what rules sum over steps: movement, gradients.
        rewound: the parameters that come back.
        losses: the first loss and a running mean, 0 before the first step.
    """

    masks: Any
    changes: Any
    changed_at: Any
    aside: Any = None
    observed: Any = None
    rewound: Any = None
    losses: Any = None


class Moved(NamedTuple):
    """What a step changes."""

    params: Params
    opt_state: PyTree
    average: Params | None
    masks: MaskState


@dataclasses.dataclass(frozen=True, eq=False)
class Engine:
    """Parameter masks of one run.

    Attributes:
        options: what is hidden, when, and what that means.
        cutting: from a rule's scores to masks.
    """

    options: Options
    cutting: Cutting

    def start(self, params: Params) -> MaskState:
        """Lay out the state; everything is kept."""
        options, dtype = self.options, jnp.float32 if self.options.softness else bool
        chosen = self.cutting.of(params)
        zeros = lambda leaf: jnp.zeros(leaf.shape, jnp.float32)  # noqa: E731
        sums = options.rule == "movement" or options.observe_steps > 1
        return MaskState(
            masks=jax.tree.map(lambda leaf: jnp.ones(leaf.shape, dtype), chosen),
            changes=jnp.int32(0),
            changed_at=jnp.int32(-1),
            aside=jax.tree.map(jnp.copy, chosen) if options.keeps_aside else None,
            observed=jax.tree.map(zeros, chosen) if sums else None,
            rewound=jax.tree.map(jnp.copy, params) if options.rewind_step >= 0 else None,
            losses=(jnp.float32(0), jnp.float32(0)) if options.schedule == "error" else None,
        )

    def begin(self, params: Params, key: Key[Array, ""]) -> tuple[Params, MaskState]:
        """Hide what is hidden before the first step.

        Args:
            params: of the beginning, new or another run's.
            key: root of what masks draw.

        Returns:
            The parameters that the model sees, and the state.
        """
        state = self.start(params)
        if not self.options.starts:
            return params, state
        masks = self.cutting.first(key, params)
        state = state._replace(masks=masks, changes=jnp.int32(1), changed_at=jnp.int32(0))
        return self._seen(params, state, is_new=True)

    def weights(self, params: Params, state: MaskState) -> Params:
        """The parameters that move: those beside what the model sees, where there are some."""
        if state.aside is None:
            return params
        return masked(lambda _, aside: aside, params, state.aside)

    def hide(self, gradient: PyTree, state: MaskState) -> PyTree:
        """The gradient that the optimizer sees, of the dense one of what the model sees.

        Args:
            gradient: of the parameters; None for leaves that are frozen.
            state: of the masks.
        """
        options = self.options

        def hidden(leaf: Array, mask: Array) -> Array:
            factor = trained(options.meaning.trains, mask, state.changes > 0)
            return leaf if factor is None else times(leaf, factor)

        found = masked(hidden, gradient, state.masks)
        if options.rescale:
            scale = lambda s: jnp.where(state.changes > 0, 1 / (1 - s), 1.0)  # noqa: E731
            found = masked(lambda leaf, s: leaf * scale(s), found, self.cutting.sparsities)
        if options.hidden_decay:
            decayed = lambda leaf, m, w: leaf + options.hidden_decay * jnp.where(m > 0, 0.0, w)  # noqa: E731
            found = masked(decayed, found, state.masks, state.aside)
        return found

    def clock(self, state: MaskState, step: Int[Array, ""]) -> Int[Array, ""]:
        """The step that the learning rate is of: rewinding takes it back too."""
        rewind = self.options.rewind_step
        if rewind < 0:
            return step
        return jnp.where(state.changed_at > rewind, rewind + step - state.changed_at, step)

    def step(
        self,
        old: Moved,
        gradient: PyTree,
        hidden: PyTree,
        *,
        loss: Float[Array, ""],
        number: Int[Array, ""],
        key: Key[Array, ""],
        move: Callable[..., tuple[Params, PyTree]],
        blend: Callable[..., Params | None],
    ) -> Moved:
        """Move parameters, let masks advance, and hide.

        Args:
            old: before the step.
            gradient: dense, as `hide` takes it.
            hidden: what `hide` made of it.
            loss: of the step.
            number: steps done after this one.
            key: root of what masks draw.
            move: (gradient, opt_state, params) -> (params, opt_state).
            blend: (average, params) -> average.

        Returns:
            All of it after the step.
        """
        options, masks = self.options, old.masks
        before = self.weights(old.params, masks)
        params, opt_state = move(hidden, old.opt_state, before)
        params = self._held(params, before, masks)
        if options.observes:
            is_still = self._observes_at(masks, number)
            keep = lambda new, was: jnp.where(is_still, was, new)  # noqa: E731
            params, opt_state = jax.tree.map(keep, (params, opt_state), (before, old.opt_state))
        new = self._advance(masks, before, params, gradient, loss, number, key)
        is_new = new.changes > masks.changes
        if options.rewind_step >= 0:
            params, opt_state, new = self._rewound(params, opt_state, new, is_new, number)
        params, new = self._seen(params, new, is_new)
        meaning = options.meaning
        if meaning.zeroes != "never" and not meaning.is_aside:
            when = True if meaning.zeroes == "always" else is_new
            opt_state = forgotten(opt_state, jax.tree.structure(gradient), new.masks, when)
        average = blend(old.average, params)
        if average is not None:
            flags = jax.tree.map(lambda mask: mask > 0, new.masks)
            average = self._zeroed(average, flags, is_new)
            if options.rewind_step >= 0:
                average = where(is_new, params, average)
        return Moved(params, opt_state, average, new)

    def _observes_at(self, state: MaskState, number: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether the step looks at gradients for a change that is due."""
        due = timing.latest_change(self.options, number + self.options.observe_steps - 1)
        return due > state.changed_at

    def _held(self, params: Params, before: Params, state: MaskState) -> Params:
        """Put back what does not train, bit for bit."""
        meaning = self.options.meaning
        if not meaning.is_exact:
            return params

        def held(new: Array, old: Array, mask: Array) -> Array:
            factor = trained(meaning.trains, mask, state.changes > 0)
            return new if factor is None else jnp.where(factor > 0, new, old)

        return masked(lambda new, mask, old: held(new, old, mask), params, state.masks, before)

    def _advance(
        self,
        state: MaskState,
        before: Params,
        params: Params,
        gradient: PyTree,
        loss: Float[Array, ""],
        number: Int[Array, ""],
        key: Key[Array, ""],
    ) -> MaskState:
        """The masks after a step; a branch of the compiled step makes them, where they are due."""
        options = self.options
        is_due = timing.latest_change(options, number) > state.changed_at
        observed = self._observed(state, before, gradient, number)
        losses = state.losses
        if losses is not None:
            first, now = losses
            is_first = first == 0
            now = jnp.where(is_first, loss, _LOSS_DECAY * now + (1 - _LOSS_DECAY) * loss)
            losses = (jnp.where(is_first, loss, first), now)

        def change() -> PyTree:
            seen = gradient if observed is None else observed
            arguments = (key, number, params, seen, state.masks, state.changes, losses)
            if not options.release_step:
                return self.cutting.next(*arguments)
            return jax.lax.cond(
                number >= options.release_step,
                lambda: jax.tree.map(jnp.ones_like, state.masks),
                lambda: self.cutting.next(*arguments),
            )

        masks = jax.lax.cond(is_due, change, lambda: state.masks) if options.moves else state.masks
        if observed is not None and options.rule != "movement":
            observed = jax.tree.map(lambda x: jnp.where(is_due, jnp.zeros_like(x), x), observed)
        return state._replace(
            masks=masks,
            changes=state.changes + is_due.astype(jnp.int32),
            changed_at=jnp.where(is_due, number, state.changed_at),
            observed=observed,
            losses=losses,
        )

    def _observed(
        self, state: MaskState, before: Params, gradient: PyTree, number: Int[Array, ""]
    ) -> PyTree:
        """The sums that rules look at, after a step."""
        if state.observed is None:
            return None
        gradients = self.cutting.of(gradient)
        if self.options.rule == "movement":
            weights = self.cutting.of(before)
            return prune.accumulate_movement(state.observed, weights, gradients)
        is_seen = self._observes_at(state, number)
        seen = jnp.square if self.options.rule == "fisher" else lambda x: x
        add = lambda total, g: total + jnp.where(is_seen, seen(g), 0.0)  # noqa: E731
        return jax.tree.map(add, state.observed, gradients)

    def _rewound(
        self, params: Params, opt_state: PyTree, state: MaskState, is_new: Array, number: Array
    ) -> tuple[Params, PyTree, MaskState]:
        """Weights of `rewind_step` at a change, with an optimizer that remembers nothing."""
        is_kept = number <= self.options.rewind_step  # if that step is skipped, the one before
        rewound = where(is_kept, params, state.rewound)
        opt_state = jax.tree.map(lambda x: jnp.where(is_new, jnp.zeros_like(x), x), opt_state)
        return where(is_new, rewound, params), opt_state, state._replace(rewound=rewound)

    def _seen(self, params: Params, state: MaskState, is_new: Any) -> tuple[Params, MaskState]:
        """What the model sees, and what is kept aside."""
        if self.options.keeps_aside:
            aside = self.cutting.of(params)
            if not self.options.meaning.is_aside:  # masks are soft: what they hide is lost
                aside = masked(lambda w, m: times(w, m > 0), aside, state.masks)
            state = state._replace(aside=aside)
        return self._zeroed(params, state.masks, is_new), state

    def _zeroed(self, params: Params, masks: PyTree, is_new: Any) -> Params:
        """Weights, or averages of them, with zeros, or soft factors, where these are due."""
        zeroes = self.options.meaning.zeroes
        if zeroes == "never":
            return params
        if zeroes == "always":
            return masked(times, params, masks)
        return masked(lambda w, m: jnp.where(is_new, times(w, m), w), params, masks)


def make_engine(
    options: Options,
    params: Params,
    frozen: frozenset[str] = frozenset(),
    given: Mapping[str, Any] | None = None,
) -> Engine:
    """Make the engine of a run; arguments and errors are those of `make_cutting`."""
    return Engine(options, make_cutting(options, params, frozen, given))
