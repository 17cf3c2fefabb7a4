"""How long masks take to draw, against the training step that they are drawn for."""

import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from maskjax import masking, tasks
from maskjax.evaluation.sheets.rule_masks import arguments_of
from maskjax.masking.registry import Rule
from maskjax.models.sizes import Size, encoder_sizes
from maskjax.models.transformer import Transformer
from maskjax.tools import benchmark
from maskjax.typing import Array, Float, Int

TARGET = 0.05  # share of a step that masks may take
_TEXT_RATIO = 0.15


@dataclasses.dataclass(frozen=True)
class Texts:
    """A batch of texts and the model that reads them.

    Attributes:
        batch_size: Texts whose masks are timed.
        length: Tokens in a text.
        size: Of the transformer.
        vocabulary: Entries of its embedding.
    """

    batch_size: int = 256
    length: int = 512
    size: Size = encoder_sizes["B"]
    vocabulary: int = 30_522


class MaskTiming(NamedTuple):
    """What one rule took.

    Attributes:
        rule: Its name.
        seconds: Median over the repeats, for the masks of a batch; None where it does not run.
        problem: Why it does not.
    """

    rule: str
    seconds: float | None
    problem: str = ""


def report(
    config: Any,
    shape: tuple[int, ...],
    *,
    step_batch_size: int,
    repeats: int,
    num_images: int = 4096,
    texts: Texts | None = None,
) -> Iterator[str]:
    """Time every rule that can run on images or texts, and a training step on the same device.

    Args:
        config: A run's on images: its patches, its mask ratio and its training step.
        shape: Sizes of one image.
        step_batch_size: Examples in the timed steps; their time is scaled to the masks' batch by
            the number of examples.
        repeats: Timed calls of each, at least 1, after two to warm up; the median counts.
        num_images: Whose masks are timed.
        texts: Whose masks are timed, and the size of the step beside them; BERT-base by default.

    Yields:
        The lines of two tables.

    Raises:
        ValueError: The config does not fit itself, the shape or the devices.
    """
    texts = texts or Texts()
    yield f"{jax.devices()[0].device_kind}; a mask's share of its step should be below {TARGET:.0%}"
    task: Any = tasks.build(config, benchmark.Shape(shape))
    config.batch_size = step_batch_size
    timing = benchmark.time_step(config, shape, repeats=repeats, peak=1.0)
    grid = tuple(task.grid)
    count = task.masker.schedule.max_num_masked(task.masker.length)
    what = f"images of {' x '.join(map(str, grid))} patches"
    timings = time_rules("image", functools.partial(_image_masks, num_images, grid, count), repeats)
    yield from _table(what, num_images, timing.step_seconds / step_batch_size, timings)
    seconds = text_step_seconds(texts, step_batch_size, repeats)
    timings = time_rules("text", functools.partial(_text_masks, texts), repeats)
    yield from _table(
        f"texts of {texts.length} tokens", texts.batch_size, seconds / step_batch_size, timings
    )


def time_rules(
    modality: str, drawing: Callable[[Rule], tuple[Callable, dict[str, Any]]], repeats: int
) -> Iterator[MaskTiming]:
    """Time the masks of every rule that is registered for a modality.

    Args:
        modality: For example "image".
        drawing: Makes of a rule a function that draws a batch of masks, and its arguments; a
            ValueError says why it cannot.
        repeats: Timed calls, after two to warm up.

    Yields:
        What each rule took.
    """
    for name in masking.rules_on(modality):
        try:
            draw, arguments = drawing(masking.make_rule(name))
            call = functools.partial(jax.jit(draw), **arguments)
            yield MaskTiming(name, statistics.median(benchmark.sorted_seconds(call, repeats)))
        except ValueError as error:
            yield MaskTiming(name, None, str(error))


def _image_masks(
    batch_size: int, grid: tuple[int, ...], num_masked: int, rule: Rule
) -> tuple[Callable, dict[str, Any]]:
    """Exact counts and index lists, as an encoder that drops patches needs them."""

    def draw(number, **given):
        keys = masking.example_keys(jax.random.key(0), number, jnp.arange(batch_size))
        return masking.draw(rule, keys, grid, num_masked, **given)

    return draw, _arguments(rule, batch_size, masking.grid_length(grid))


def _text_masks(texts: Texts, rule: Rule) -> tuple[Callable, dict[str, Any]]:
    """Flags of texts of different lengths, each with its own count."""

    def draw(number, lengths, **given):
        keys = masking.example_keys(jax.random.key(0), number, jnp.arange(texts.batch_size))
        counts = masking.num_masked_from_lengths(lengths, _TEXT_RATIO, max_length=texts.length)
        is_candidate = jnp.arange(texts.length)[None] < lengths[:, None]
        grid = (texts.length,)
        return masking.draw_counts(rule, keys, grid, counts, is_candidate=is_candidate, **given)

    rng = np.random.default_rng(0)
    lengths = jnp.asarray(rng.integers(1, texts.length + 1, texts.batch_size))
    return draw, {"lengths": lengths, **_arguments(rule, texts.batch_size, texts.length)}


def _arguments(rule: Rule, batch_size: int, length: int) -> dict[str, Any]:
    """The number of the step, and random runtime arguments: arrays, or they would be folded."""
    rng = np.random.default_rng(0)
    numbers = jnp.asarray(rng.random((batch_size, length), np.float32))
    word_ids = jnp.asarray(np.cumsum(rng.random((batch_size, length)) < 0.7, axis=1))
    runtime = dict.fromkeys(("losses", "attention", "probabilities", "coverage"), numbers)
    runtime |= {"log_weights": jnp.log(numbers + 1e-3), "word_ids": word_ids}
    runtime["step"] = jnp.int32(3)
    return {"number": jnp.int32(3), **arguments_of(rule, runtime)}


def text_step_seconds(texts: Texts, batch_size: int, repeats: int) -> float:
    """Time a masked-language-model step: forward, backward, AdamW; pre-norm blocks, tied logits.

    Args:
        texts: Length, size and vocabulary.
        batch_size: Texts in the step.
        repeats: Timed steps, at least 1, after two to warm up; the median counts.

    Returns:
        Seconds of a step.
    """
    model = _TextModel(texts)
    count = max(1, round(_TEXT_RATIO * texts.length))
    rng = np.random.default_rng(0)
    tokens = jnp.asarray(rng.integers(0, texts.vocabulary, (batch_size, texts.length)))
    ids = jnp.broadcast_to(jnp.arange(count), (batch_size, count))
    optimizer = optax.adamw(1e-4)
    params = jax.jit(model.init)(jax.random.key(0), tokens[:1], ids[:1])
    state = (params, optimizer.init(params))

    def loss(params):
        logits = jnp.asarray(model.apply(params, tokens, ids))
        targets = masking.keep(tokens, ids)
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def program(state):
        params, moments = state
        value, gradients = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), moments), value

    def step() -> Array:
        nonlocal state
        state, value = program(state)
        return value

    return statistics.median(benchmark.sorted_seconds(step, repeats))


class _TextModel(nn.Module):
    """A transformer over tokens that predicts some of them."""

    texts: Texts

    @nn.compact
    def __call__(self, tokens: Int[Array, "B L"], ids: Int[Array, "B M"]) -> Float[Array, "B M V"]:
        width, depth, num_heads = self.texts.size
        embed = nn.Embed(self.texts.vocabulary, width)
        positions = self.param(
            "positions", nn.initializers.normal(0.02), (1, self.texts.length, width)
        )
        x = Transformer(depth, num_heads)(embed(tokens) + positions)
        return embed.attend(masking.keep(x, ids))


def _table(
    what: str, batch_size: int, step_seconds: float, timings: Iterator[MaskTiming]
) -> Iterator[str]:
    """Rows of one modality; step_seconds is for one example."""
    step = step_seconds * batch_size
    yield ""
    yield (
        f"{batch_size} {what}; their step takes {1e3 * step:.0f} ms, scaled by examples from a "
        "smaller batch"
    )
    yield f"{'rule':<24} {'ms':>10} {'of step':>9}"
    for timing in timings:
        if timing.seconds is None:
            yield f"{timing.rule:<24} {'-':>10} {'-':>9}  {timing.problem}"
        else:
            share = timing.seconds / step
            mark = "" if share < TARGET else "  too slow"
            yield f"{timing.rule:<24} {1e3 * timing.seconds:>10.2f} {share:>9.2%}{mark}"
