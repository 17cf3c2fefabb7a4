"""From gradients to parameters: the optimizer, its rate, and which parameters move how far."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from maskjax.masking.parameters import Engine, Moved, leaf_paths, make_engine, matching, options_of
from maskjax.training.rates import layer_factors, own_factors
from maskjax.training.schedule import make_schedule
from maskjax.typing import Array, Float, Params, PyTree
from maskjax.workdir.masks import read_all

_TRUST = 1e-3  # of LARS


def adamw(
    *,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    clip_norm: float,
    decay_mask: Callable[[Params], PyTree],
) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019) up to the learning rate, which the step multiplies in.

    The rate stays outside so that it follows the state's step, also past a skipped update.

    Args:
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root of the second moment.
        weight_decay: decoupled decay, per unit of learning rate.
        clip_norm: largest global norm of the gradient; 0 turns clipping off.
        decay_mask: `params -> pytree of bool`, True where weight decay applies.

    Returns:
        A transformation from gradients to the direction d of `params - learning_rate * d`.
    """
    return optax.chain(
        _clip(clip_norm),
        optax.scale_by_adam(b1=b1, b2=b2, eps=eps),
        optax.add_decayed_weights(weight_decay, mask=decay_mask),
    )


def lars(
    *, b1: float, weight_decay: float, clip_norm: float, decay_mask: Callable[[Params], PyTree]
) -> optax.GradientTransformation:
    """LARS (You, Gitman & Ginsburg 2017) up to the learning rate, as `adamw`.

    Each leaf's direction gets the length 0.001 of the leaf's own, but for biases and norms' scales,
    which move as by plain momentum; the rate comes after the momentum. Both are so in the reference
    of He et al. 2022 (MAE, appendix A.1).

    Args:
        b1: decay of the momentum.
        weight_decay: added to the gradient, per unit of the leaf.
        clip_norm: largest global norm of the gradient; 0 turns clipping off.
        decay_mask: `params -> pytree of bool`, True where weight decay applies.

    Returns:
        A transformation from gradients to the direction d of `params - learning_rate * d`.
    """
    trust = optax.scale_by_trust_ratio(trust_coefficient=_TRUST)
    return optax.chain(
        _clip(clip_norm),
        optax.add_decayed_weights(weight_decay, mask=decay_mask),
        optax.masked(trust, lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)),
        optax.trace(decay=b1),
    )


def sgd(
    *, b1: float, weight_decay: float, clip_norm: float, decay_mask: Callable[[Params], PyTree]
) -> optax.GradientTransformation:
    """SGD with momentum in PyTorch's form, up to the learning rate, as `adamw`.

    The momentum m becomes b1 m + g with all of the gradient g, and the step is -rate m: the rate
    comes after the momentum (Goyal et al. 2017, section 3, remark 2).

    Args:
        b1: decay of the momentum; 0 is none.
        weight_decay: added to the gradient, per unit of the leaf.
        clip_norm: largest global norm of the gradient; 0 turns clipping off.
        decay_mask: `params -> pytree of bool`, True where weight decay applies.

    Returns:
        A transformation from gradients to the direction d of `params - learning_rate * d`.
    """
    return optax.chain(
        _clip(clip_norm),
        optax.add_decayed_weights(weight_decay, mask=decay_mask),
        optax.trace(decay=b1),
    )


def _clip(clip_norm: float) -> optax.GradientTransformation:
    return optax.clip_by_global_norm(clip_norm) if clip_norm > 0 else optax.identity()


@dataclasses.dataclass(frozen=True, eq=False)
class Update:
    """From gradients to parameters.

    Frozen leaves have no gradient and no moments: `trainable` puts None in their place.

    Attributes:
        optimizer: gradients to the direction that the learning rate multiplies.
        schedule: learning rate of a step number and of the factor that evaluations made.
        frozen: paths of the leaves that keep their values.
        rate_factors: of the learning rate, by path; 1 where there is none.
        accumulate_steps: micro-batches whose gradients are added before an update.
        ema_decay: of the moving average of the parameters; 0 keeps none.
        masks: of the parameters; None hides none.
    """

    optimizer: optax.GradientTransformation
    schedule: Callable[[Any, Any], Any]
    frozen: frozenset[str] = frozenset()
    rate_factors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    accumulate_steps: int = 1
    ema_decay: float = 0.0
    masks: Engine | None = None

    def trainable(self, params: Params) -> PyTree:
        """The parameters that move; None in place of those that do not."""
        return _by_path(lambda path, leaf: None if path in self.frozen else leaf, params)

    def whole(self, trainable: PyTree, params: Params) -> Params:
        """Put the frozen leaves of all parameters between those that move."""
        if not self.frozen:
            return trainable
        pick = lambda new, old: old if new is None else new  # noqa: E731
        return jax.tree.map(pick, trainable, params, is_leaf=lambda x: x is None)

    def init(self, params: Params) -> PyTree:
        """Lay out the optimizer's state."""
        return self.optimizer.init(self.trainable(params))

    def __call__(
        self,
        gradient: PyTree,
        opt_state: PyTree,
        params: Params,
        average: Params | None,
        rate: Float[Array, ""],
    ) -> tuple[Params, PyTree, Params | None]:
        """Move parameters against a gradient.

        Args:
            gradient: like `trainable(params)`.
            opt_state: from `init` or an earlier call.
            params: all parameters.
            average: their moving average, None without.
            rate: the learning rate.

        Returns:
            Parameters, the optimizer's state and the average, all of them new.
        """
        moved, opt_state = self.move(gradient, opt_state, params, rate)
        return moved, opt_state, self.blend(average, moved)

    def move(
        self, gradient: PyTree, opt_state: PyTree, params: Params, rate: Float[Array, ""]
    ) -> tuple[Params, PyTree]:
        """Move parameters alone; see `__call__`."""
        before = self.trainable(params)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an int32
            direction, opt_state = self.optimizer.update(gradient, opt_state, before)

        def move(path: str, leaf: Array, towards: Array) -> Array:
            factor = self.rate_factors.get(path)
            step = rate if factor is None else rate * factor
            return (leaf - step * towards).astype(leaf.dtype)

        return self.whole(_by_path(move, before, direction), params), opt_state

    def blend(self, average: Params | None, params: Params) -> Params | None:
        """Move the average towards the parameters."""
        if average is None:
            return None
        decay, moved = self.ema_decay, self.trainable(params)
        blend = lambda e, p: decay * e + (1.0 - decay) * p  # noqa: E731
        return self.whole(jax.tree.map(blend, self.trainable(average), moved), average)

    def hide(self, gradient: PyTree, param_masks: PyTree) -> PyTree:
        """Make of the dense gradient what moments see."""
        return gradient if self.masks is None else self.masks.hide(gradient, param_masks)

    def whole_weights(self, state: Any) -> Params:
        """Return the parameters with what is hidden of them but kept aside."""
        masks = self.masks
        return state.params if masks is None else masks.weights(state.params, state.param_masks)

    def rate(self, state: Any, factor: Any) -> Float[Array, ""]:
        """Return the learning rate of a state, which rewound weights take back."""
        masks, step = self.masks, state.step
        at = step if masks is None else masks.clock(state.param_masks, step)
        return self.schedule(at, factor)

    def step(
        self,
        state: Any,
        gradient: PyTree,
        hidden: PyTree,
        rate: Float[Array, ""],
        loss: Float[Array, ""],
        key: Array,
    ) -> tuple[Params, PyTree, Params | None, PyTree]:
        """Move what a state has, and let its masks advance.

        Args:
            state: before the step.
            gradient: dense.
            hidden: what `hide` made of it.
            rate: the learning rate.
            loss: of the step.
            key: of parameter masks.

        Returns:
            Parameters, the optimizer's state, the average and the masks.
        """
        old = Moved(state.params, state.opt_state, state.ema_params, state.param_masks)
        if self.masks is None:
            return (*self(gradient, old.opt_state, old.params, old.average, rate), old.masks)
        move = lambda gradient, moments, params: self.move(gradient, moments, params, rate)  # noqa: E731
        how = {"loss": loss, "number": state.step + 1, "key": key}
        return self.masks.step(old, gradient, hidden, **how, move=move, blend=self.blend)


def make_update(config: Any, params: Params) -> Update:
    """Make the update that a config asks for.

    Args:
        config: the whole config; "optimizer", "batch_size" and "total_steps" are read.
            Weight decay spares biases and norms' scales, and what "optimizer.no_decay" finds.
        params: the parameters, or their shapes.

    Returns:
        The update.

    Raises:
        ValueError: a path rule that finds nothing, or freezes everything though there are steps; or
            a layer-wise rate for a model without blocks.
    """
    options, paths = config.optimizer, leaf_paths(params)
    frozen = matching("optimizer.frozen", tuple(options.frozen), paths)
    if len(frozen) == len(paths) and config.total_steps:
        raise ValueError(
            f"optimizer.frozen {tuple(options.frozen)} freezes all {len(paths)} leaves of the "
            "parameters: leave some to be trained"
        )
    spared = matching("optimizer.no_decay", tuple(options.no_decay), paths)

    def decays(path: str, _: Any) -> bool:
        return path not in spared and path.rpartition("/")[2] not in ("bias", "scale")

    plain = {"lars": lars, "sgd": sgd}
    make, others = plain.get(options.name, adamw), () if options.name in plain else ("b2", "eps")
    chosen = {name: options[name] for name in ("b1", "weight_decay", "clip_norm", *others)}
    factors = layer_factors(options.layer_decay, paths)
    for path, factor in own_factors(options.rates, paths):
        factors[path] = factors.get(path, 1.0) * factor
    masks = options_of(config.param_masks.to_dict(), config.total_steps)
    engine = masks and make_engine(masks, params, frozen, read_all(masks.file))
    return Update(
        optimizer=make(**chosen, decay_mask=lambda tree: _by_path(decays, tree)),
        schedule=make_schedule(config, masks and masks.round_steps),
        masks=engine,
        frozen=frozen,
        rate_factors=factors,
        accumulate_steps=options.accumulate_steps,
        ema_decay=options.ema_decay,
    )


def _by_path(function: Callable[..., Any], tree: PyTree, *others: PyTree) -> PyTree:
    """Map `function(path, leaf, *leaves)` over trees."""
    paths = jax.tree.unflatten(jax.tree.structure(tree), leaf_paths(tree))
    return jax.tree.map(function, paths, tree, *others)
