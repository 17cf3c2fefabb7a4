"""A tutorial's linear model with masks of inputs or weights, trained and solved, a seed a row.

y = th0 + sum th_i x_i M_i, or th' = th * M; x ~ N(0, 1), u ~ U(0, 1): what of u is under .5 is
hidden, the rest multiplied by u ("soft") or by 1 ("hard"). PyTorch's Linear(5, 1), SGD on the whole
batch, mean square error. configs/studies/linear_masks.md has what came out.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from maskjax.typing import Array, Bool, Float, Key

ROWS, WIDTH, RATE, LONG, STEP = 10, 5, 0.01, 1000, 10  # trained rows; epochs; every tenth is told


class Masked(NamedTuple):
    """What the inputs and weights of a seed are multiplied by.

    Attributes:
        inputs: of all rows, those held out last.
        weights: theta' = theta * weights.
        rates: of theta's gradients, beside.
        is_soft: whether what is seen is multiplied by its own number, and not by 1.
        is_anew: whether inputs are multiplied by others in each epoch, and these are left.
    """

    inputs: Float[Array, "N W"]
    weights: Float[Array, "W"]
    rates: Float[Array, "W"]
    is_soft: Bool[Array, ""]
    is_anew: Bool[Array, ""]


class Problem(NamedTuple):
    """A seed: rows, those held out last, their targets, and where training starts."""

    x: Float[Array, "N W"]
    y: Float[Array, "N"]
    theta: Float[Array, "W"]
    bias: Float[Array, ""]
    masked: Masked


def compute(
    seeds: Sequence[int], *, mask: str, data: str, claimed: Sequence[float] = ()
) -> dict[str, Float[Array, "S"]]:
    """Train, and solve, all seeds of a setting.

    Args:
        seeds: S of them.
        mask: "none"; "input soft" or "input hard", with ", anew each epoch" where it is not drawn
            once; "weights soft, ..." or "weights hard, ...", and what becomes of hidden weights:
            "stay hidden" (the others train), "all train" (zeroed once), "hidden train" (zeroed
            once, gradients times 1 - M).
        data: "noise", "zeros" or "structure".
        claimed: losses every tenth epoch, the last after 100, that others tell; () = none.

    Returns:
        Mean square errors. Of training, of masks drawn anew their mean: "loss_E" after E epochs,
        "start", "final" after 100, "final_1000", and "best", the least there is. Of as many rows
        that nothing was trained on: "held_out" with whole inputs, "held_out_hidden" with inputs
        hidden alike, "held_out_1000", "held_out_best". "ratio" is what of the loss 100 epochs
        leave; with claims "gap_to_claim" is how far the curve is from
        the claimed one where it is farthest, as a share of that.
    """
    keys = jax.vmap(jax.random.key)(jnp.array(seeds))
    problems = jax.vmap(functools.partial(_problem, mask=mask, data=data))(keys)
    found = _solved(problems, keys)
    if claimed:
        curve = jnp.stack([found[f"loss_{STEP * i}"] for i in range(len(claimed))], 1)
        told = jnp.array(claimed)[None]
        found["gap_to_claim"] = (jnp.abs(curve - told) / told).max(1)
    return found


def _problem(key: Key[Array, ""], mask: str, data: str) -> Problem:
    """Draw a seed; the draws are the same for every mask."""
    data_key, mask_key, start_key = jax.random.split(key, 3)
    x, y = _drawn(data_key, data)
    u = jax.random.uniform(mask_key, (len(x) + 1, WIDTH))  # of inputs, and of the weights
    is_soft, ones = jnp.array("soft" in mask), jnp.ones(WIDTH)
    factors = _factors(u, is_soft)  # 0 for what is hidden
    *start, bias = jax.random.uniform(start_key, (WIDTH + 1,), minval=-1, maxval=1) / WIDTH**0.5
    theta, weights, rates = jnp.array(start), ones, ones
    if mask.startswith("weights"):
        if mask.endswith("stay hidden"):
            weights = factors[-1]
        else:
            theta = theta * factors[-1]
            rates = 1 - factors[-1] if mask.endswith("hidden train") else ones
    inputs = factors[:-1] if mask.startswith("input") else jnp.ones_like(x)
    masked = Masked(inputs, weights, rates, is_soft, jnp.array(mask.endswith("anew each epoch")))
    return Problem(x, y, theta, bias, masked)


def _factors(u: Float[Array, "*shape"], is_soft: Bool[Array, ""]) -> Float[Array, "*shape"]:
    """From uniform numbers to factors: under .5 nothing, above it that number or 1."""
    return jnp.where(u < 0.5, 0.0, jnp.where(is_soft, u, 1.0))


def _moments(is_soft: Bool[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and variance of a factor: the integrals of u and of u^2 from .5 to 1, or half of 1."""
    mean = jnp.where(is_soft, 3 / 8, 1 / 2)
    return mean, jnp.where(is_soft, 7 / 24, 1 / 2) - mean**2


@jax.jit
@jax.vmap
def _solved(problem: Problem, key: Key[Array, ""]) -> dict[str, Float[Array, ""]]:
    """Train, and solve, one seed of any setting."""
    x, y, theta, bias, masked = problem
    seen, target, once = x[:ROWS], y[:ROWS], masked.inputs[:ROWS]
    mean, variance = _moments(masked.is_soft)

    def loss(theta, bias, inputs):
        return jnp.square(inputs @ (theta * masked.weights) + bias - target).mean()

    def told(theta, bias):  # of masks that are drawn anew the mean
        extra = variance * (jnp.square(seen) @ jnp.square(theta)).mean()
        expected = loss(theta, bias, seen * mean) + extra
        return jnp.where(masked.is_anew, expected, loss(theta, bias, seen * once))

    def epoch(state, number):
        u = jax.random.uniform(jax.random.fold_in(key, number), seen.shape)
        factor = jnp.where(masked.is_anew, _factors(u, masked.is_soft), once)
        slopes = jax.grad(loss, (0, 1))(*state, seen * factor)
        state = state[0] - RATE * masked.rates * slopes[0], state[1] - RATE * slopes[1]
        return state, (*state, told(*state))

    _, (thetas, biases, losses) = jax.lax.scan(epoch, (theta, bias), jnp.arange(LONG))
    losses = jnp.concatenate([told(theta, bias)[None], losses])
    best = _best(problem)
    curve = losses[: 100 + 1 : STEP]

    def held_out(theta, bias, factor: Any = 1.0):
        found = (x[ROWS:] * factor) @ (theta * masked.weights) + bias
        return jnp.square(found - y[ROWS:]).mean()

    return {f"loss_{STEP * i}": curve[i] for i in range(len(curve))} | {
        "ratio": curve[-1] / curve[0],
        "start": losses[0],
        "final": losses[100],
        "final_1000": losses[LONG],
        "best": told(*best),
        "held_out": held_out(thetas[99], biases[99]),
        "held_out_hidden": held_out(thetas[99], biases[99], masked.inputs[ROWS:]),
        "held_out_1000": held_out(thetas[-1], biases[-1]),
        "held_out_best": held_out(*best),
    }


def _best(problem: Problem) -> tuple[Float[Array, "W"], Float[Array, ""]]:
    """The least squares that training could reach, from where it starts.

    Weights that have no gradient stay where they are. For masks that are drawn anew the mean loss
    is that of inputs times the mean, and a ridge of the variance (Srivastava et al. 2014, section
    9.1).
    """
    x, y, theta, _, masked = problem
    mean, variance = _moments(masked.is_soft)
    trains = masked.rates * masked.weights != 0
    kept = jnp.where(trains, 0.0, theta)
    seen, ones, zeros = x[:ROWS], jnp.ones(ROWS), jnp.zeros(WIDTH)
    inputs = seen * jnp.where(masked.is_anew, mean, masked.inputs[:ROWS]) * masked.weights[None]
    ridge = jnp.diag(jnp.where(masked.is_anew, (variance * jnp.square(seen).sum(0)) ** 0.5, 0.0))
    rows = jnp.concatenate([inputs, ridge]) * trains[None]
    rows = jnp.column_stack([rows, jnp.concatenate([ones, zeros])])
    rest = jnp.concatenate([y[:ROWS] - inputs @ kept, zeros])
    found = jnp.linalg.pinv(rows, rtol=1e-5) @ rest
    return kept + found[:WIDTH], found[WIDTH]


def _drawn(key: Key[Array, ""], data: str) -> tuple[Float[Array, "N W"], Float[Array, "N"]]:
    """Rows, and their targets; the second half is held out.

    "structure": entries correlated by .5, y = x_1 - x_2 + x_3 / 2 + N(0, .5^2).
    """
    x_key, shared_key, y_key = jax.random.split(key, 3)
    x = jax.random.normal(x_key, (2 * ROWS, WIDTH))
    noise = jax.random.normal(y_key, (2 * ROWS,))
    if data == "zeros":
        return x, jnp.zeros_like(noise)
    if data == "noise":
        return x, noise
    x = (x + jax.random.normal(shared_key, (2 * ROWS, 1))) / 2**0.5
    return x, x @ jnp.array([1, -1, 0.5, 0, 0]) + 0.5 * noise
