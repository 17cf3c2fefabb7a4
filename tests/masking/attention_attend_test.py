"""Attention under masks against a NumPy loop in float64; queries that see nothing."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax.masking import attention

B, Q, S, H, G, D = 2, 5, 7, 4, 2, 3
# Tiles of one key, tiles that do not divide the keys, one tile.
WAYS = {
    "xla": {},
    "blockwise-1": {"implementation": "blockwise", "block_size": 1},
    "blockwise-3": {"implementation": "blockwise", "block_size": 3},
    "blockwise": {"implementation": "blockwise"},
}
every_way = pytest.mark.parametrize("way", WAYS)


def slow(query, key, value, flags, bias):
    """[B Q H D] from the definition; heads of queries share those of keys in order."""
    out = np.zeros(query.shape)
    for b, q, h in np.ndindex(query.shape[:3]):
        g = h // (query.shape[2] // key.shape[2])
        seen = [k for k in range(key.shape[1]) if flags[b, h, q, k]]
        if not seen:
            continue
        logits = [query[b, q, h] @ key[b, k, g] / np.sqrt(query.shape[3]) for k in seen]
        logits = np.array(logits) + [bias[b, h, q, k] for k in seen]
        weights = np.exp(logits - logits.max())
        out[b, q, h] = sum(w * value[b, k, g] for w, k in zip(weights / weights.sum(), seen))
    return out


def _inputs(seed=0):
    random = np.random.RandomState(seed)
    return [random.randn(B, n, h, D) for n, h in [(Q, H), (S, G), (S, G)]]


def _case():
    """Flags with blind queries, and a bias that forbids more: one query by the bias alone."""
    random = np.random.RandomState(1)
    flags, bias = random.rand(B, H, Q, S) < 0.4, random.randn(B, 1, Q, S)
    flags[0, 1, 2] = False
    bias[0, :, 0, 3] = bias[1, :, 4] = -np.inf
    return flags, bias


@functools.cache
def _attending(way):
    """Outputs, and the gradient of a weighted sum of them; compiled once for all tests."""

    def weighted_sum(query, key, value, bias, flags, weights):
        out = attention.attend(query, key, value, flags, bias=bias, **WAYS[way])
        return (out * weights).sum(), out

    return jax.jit(jax.value_and_grad(weighted_sum, argnums=(0, 1, 2, 3), has_aux=True))


def _attend(way, inputs, flags, bias, weights):
    arrays = [jnp.asarray(x, jnp.float32) for x in (*inputs, bias)]
    (_, out), gradients = _attending(way)(*arrays, jnp.asarray(flags), jnp.float32(weights))
    return np.asarray(out), [np.asarray(gradient) for gradient in gradients]


@every_way
def test_attention_is_that_of_the_definition(way):
    inputs, (flags, bias) = _inputs(), _case()
    out, _ = _attend(way, inputs, flags, bias, np.ones((B, Q, H, D)))
    expected = slow(*inputs, flags & (bias > -np.inf), np.broadcast_to(bias, flags.shape))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@every_way
def test_gradients_are_those_of_the_definition(way):
    """Directional derivatives by central differences of the float64 loop."""
    inputs, (flags, bias), random = _inputs(), _case(), np.random.RandomState(2)
    weights = random.randn(B, Q, H, D)
    _, gradients = _attend(way, inputs, flags, bias, weights)
    is_open = bias > -np.inf
    start = [*inputs, np.where(is_open, bias, 0)]

    def weighted_sum(query, key, value, bias):
        bias = np.broadcast_to(bias, flags.shape)
        return (slow(query, key, value, flags & is_open, bias) * weights).sum()

    for i, gradient in enumerate(gradients):
        for _ in range(2):
            direction = random.randn(*start[i].shape)
            high, low = (
                weighted_sum(*start[:i], start[i] + e * direction, *start[i + 1 :])
                for e in (1e-5, -1e-5)
            )
            expected = (high - low) / 2e-5
            assert (gradient * direction).sum() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@every_way
def test_a_query_with_nothing_to_attend_to_gives_zeros_forward_and_backward(way):
    inputs, flags = _inputs(), np.ones((B, H, Q, S), bool)
    flags[0, :, 1] = flags[1] = False
    bias, is_blind = np.zeros((B, 1, Q, S)), ~flags.any(axis=-1).swapaxes(1, 2)
    weights = np.where(is_blind[..., None], 1, 0) * np.ones((B, Q, H, D))
    out, gradients = _attend(way, inputs, flags, bias, weights)
    assert not out[is_blind].any()
    assert out[~is_blind].all()
    for gradient in gradients:  # of the blind outputs: zeros to the last number, and no NaN
        assert not gradient.any()
    _, gradients = _attend(way, inputs, flags, bias, np.ones((B, Q, H, D)))
    query, key, value, bias = gradients
    assert np.isfinite(np.concatenate([gradient.ravel() for gradient in gradients])).all()
    assert not query[is_blind].any()
    assert not any(gradient[1].any() for gradient in (key, value, bias))
    assert query[~is_blind].any()


@every_way
def test_a_bias_of_minus_infinity_alone_makes_a_query_blind_too(way):
    inputs, flags = _inputs(), np.ones((B, H, Q, S), bool)
    bias = np.full((B, 1, Q, S), -np.inf)
    out, gradients = _attend(way, inputs, flags, bias, np.ones((B, Q, H, D)))
    assert not out.any()
    assert not any(gradient.any() for gradient in gradients)


@every_way
def test_without_keys_attention_gives_zeros(way):
    query, nothing = jnp.ones((B, Q, H, D)), jnp.ones((B, 0, G, D))
    out = attention.attend(query, nothing, nothing, **WAYS[way])
    np.testing.assert_array_equal(out, np.zeros((B, Q, H, D)))


def test_jax_averages_what_a_blind_query_may_not_see():
    """Why there is a wrapper: if this fails, JAX has changed and the wrapper may go."""
    x = jnp.arange(3.0)[None, :, None, None]
    nothing = jnp.zeros((1, 1, 3, 3), bool)
    assert jax.nn.dot_product_attention(x, x, x, mask=nothing).ravel().tolist() == [1, 1, 1]
    assert attention.attend(x, x, x, nothing).ravel().tolist() == [0, 0, 0]


MASKED = jax.jit(
    lambda inputs, attention_mask, way: attention.attend(*inputs, attention_mask, **WAYS[way]),
    static_argnums=2,
)


@given(
    st.lists(st.integers(0, S), min_size=B, max_size=B),
    st.lists(st.integers(-1, 2), min_size=Q, max_size=Q),
    st.lists(st.booleans(), min_size=H, max_size=H),
    st.integers(0, 2**20),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_attention_under_lazy_masks_is_that_of_the_definition(lengths, segments, heads, seed):
    attention_mask = attention.padding(lengths=jnp.array(lengths)) & attention.kept_heads(
        head_masks=jnp.array(heads)
    )
    key_segments = np.random.RandomState(seed).randint(-1, 3, (B, S))
    attention_mask &= attention.segments(
        segment_ids=jnp.array(segments), key_segment_ids=jnp.array(key_segments)
    )
    flags = np.zeros((B, H, Q, S), bool)
    for b, h, q, k in np.ndindex(flags.shape):
        flags[b, h, q, k] = k < lengths[b] and heads[h] and segments[q] == key_segments[b, k] != -1
    inputs = _inputs(seed)
    expected = slow(*inputs, flags, np.zeros(flags.shape))
    arrays = [jnp.asarray(x, jnp.float32) for x in inputs]
    for way in ("xla", "blockwise-3"):
        out = MASKED(arrays, attention_mask, way)
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    assert MASKED._cache_size() <= 2


@every_way
def test_low_precision_inputs_get_a_softmax_in_float32(way):
    """600 equal weights: a sum of them in bfloat16 would stand still at 256."""
    num_keys = 600
    query, key = jnp.zeros((1, 1, 1, 8), jnp.bfloat16), jnp.zeros((1, num_keys, 1, 8), jnp.bfloat16)
    options = WAYS[way] | ({"block_size": 50} if way == "blockwise-1" else {})
    out = attention.attend(query, key, key + 1, attention.causal(offset=num_keys), **options)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), 1, rtol=2**-7)


@pytest.mark.parametrize(("length", "side"), [(11, 2), (5, 2)])  # in tiles of 2, and all at once
def test_a_side_leaves_near_keys_alone_as_the_definition_has_it(length, side):
    random = np.random.RandomState(4)
    inputs = [random.randn(B, length, heads, D) for heads in (H, G, G)]
    flags = random.rand(B, H, length, length) < 0.7
    flags[0, 1, 4] = False
    places = np.arange(length)
    near = flags & (abs(places[:, None] - places) <= side)
    expected = slow(*inputs, near, np.zeros(flags.shape))
    ids = np.array([[0] * 4 + [1] * (length - 4), [2] * length])
    within = slow(*inputs, near & (ids[:, None, :, None] == ids[:, None, None]), 0 * flags)

    @jax.jit
    def both(query, key, value, flags, ids):
        one = functools.partial(attention.attend, query, key, value, side=side)
        mask = attention.given(attention_mask=flags)
        return one(flags), one(mask & attention.segments(segment_ids=ids))

    found = both(*map(jnp.float32, inputs), jnp.asarray(flags), jnp.asarray(ids))
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], within, rtol=1e-5, atol=1e-6)


def test_an_example_without_a_batch_and_no_mask():
    inputs = _inputs()
    expected = slow(*inputs, np.ones((B, H, Q, S)), np.zeros((B, H, Q, S)))
    arrays = [jnp.asarray(x, jnp.float32) for x in inputs]
    alone = jax.vmap(lambda *one: attention.attend(*one, **WAYS["blockwise-3"]))(*arrays)
    np.testing.assert_allclose(alone, expected, rtol=1e-5, atol=1e-6)
    scaled = attention.attend(2 * arrays[0], *arrays[1:], scale=0.5 / np.sqrt(D))
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-6)


def _sizes(jaxpr):
    """Sizes of all intermediate arrays, those of inner programs included."""
    for equation in jaxpr.eqns:
        yield from (int(np.prod(var.aval.shape)) for var in equation.outvars)
        for inner in jax.tree.leaves(
            equation.params, is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _sizes(inner)


@pytest.mark.parametrize(
    ("options", "most"),  # numbers a token: logits of a tile of 8 keys, or of three tiles of 8
    [
        ({"implementation": "xla"}, None),
        ({"implementation": "blockwise", "block_size": 8}, 8),
        ({"implementation": "xla", "side": 8}, 24),
    ],
)
def test_blockwise_never_makes_what_has_a_number_per_query_and_key(options, most):
    length = 256
    x, ids = jnp.ones((1, length, 1, 2)), jnp.arange(length) // 9

    def loss(x, ids):
        attention_mask = attention.causal() & attention.segments(segment_ids=ids)
        return attention.attend(x, x, x, attention_mask, **options).sum()

    sizes = list(_sizes(jax.make_jaxpr(jax.grad(loss))(x, ids).jaxpr))
    assert (max(sizes) >= length * length) == (most is None)
    assert most is None or max(sizes) <= most * length


X = jnp.zeros((B, Q, H, 8))
FLAGS = jnp.ones((B, 1, Q, Q), bool)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            (X, X, X),
            {"implementation": "xl"},
            "implementation 'xl' .did you mean 'xla'",
        ),
        ((X, X, X), {"implementation": "flash"}, "known: .'blockwise', 'cudnn', 'xla'."),
        ((X, X, X), {"implementation": "blockwise", "block_size": 0}, "block_size 0 must be"),
        ((X, X, X), {"side": 0}, "side 0 must be"),
        ((X, X, X), {"side": 1, "bias": jnp.ones((1, 1, Q, Q))}, "5 keys and a bias: give sliding"),
        ((X[:, :2], X, X), {"side": 1}, "here are 2 queries, 5 keys: give sliding_window"),
        ((X, X[:, :, :3], X[:, :, :3]), {}, "4 heads of queries are not a multiple of 3 heads"),
        ((X, X, X, FLAGS[:, :, :, :4]), {}, re.escape(f"[B H Q S] = {(B, H, Q, Q)}")),
        ((X, X, X), {"bias": jnp.zeros((1, 3, Q, Q))}, r"bias of shape \(1, 3, 5, 5\) does not"),
        (
            (X, X, X, attention.padding(is_valid=jnp.ones(4, bool))),
            {},
            "mask of 4 keys is used for",
        ),
        (
            (X, X, X, attention.kept_heads(head_masks=jnp.ones(3, bool))),
            {"implementation": "blockwise"},
            r"attention_mask of shape \(1, 3, 5, 5\) does not broadcast",
        ),
        ((X[None], X[None], X[None]), {}, r"queries of shape \(1, 2, 5, 4, 8\): give"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        attention.attend(*arguments, **options)


def test_cudnn_is_used_only_where_it_is_asked_for_by_name_and_never_replaced():
    if jax.default_backend() == "gpu":
        pytest.skip("for machines without cuDNN")
    x = X.astype(jnp.bfloat16)
    assert attention.attend(x, x, x).shape == x.shape
    with pytest.raises(RuntimeError, match="cuDNN"):
        attention.attend(x, x, x, implementation="cudnn")


@pytest.mark.parametrize(
    ("dtype", "width", "message"),
    [
        (jnp.float32, 8, "takes bfloat16 or float16, not float32"),
        (jnp.bfloat16, 20, "a multiple of 8, at most 256 .*, not 20"),
        (jnp.float16, 264, "a multiple of 8, at most 256 .*, not 264"),
    ],
)
def test_what_cudnn_cannot_compute_is_refused_before_anything_runs(dtype, width, message):
    x = jax.ShapeDtypeStruct((B, Q, H, width), dtype)
    attend = functools.partial(attention.attend, implementation="cudnn")
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(attend, x, x, x)


@pytest.fixture
def cudnn_limits(monkeypatch):
    """In place of cuDNN its own checks of what has a gradient, then XLA's attention."""
    from jax._src.cudnn import fused_attention_stablehlo as flash

    xla = jax.nn.dot_product_attention

    def checked(query, key, value, bias=None, mask=None, *, scale, implementation):
        assert implementation == "cudnn"
        whole = flash.combine_bias_and_mask(bias, mask, query.dtype)
        layout = flash.AttentionLayout.BTNH
        flash.check_layout(query, key, value, whole, *[None] * 6, layout)
        options = {"has_bias": whole is not None, "is_training": True}
        flash.check_is_flash_attention(query, key, value, layout.value, 91000, **options)
        return xla(query, key, value, bias, mask, scale=scale)

    monkeypatch.setattr(jax.nn, "dot_product_attention", checked)


@pytest.mark.parametrize(
    ("given", "lengths"),
    [
        ("nothing", (Q, S)),
        ("flags of keys", (Q, 6)),
        ("a lazy mask", (4, S)),
        ("a bias", (Q, S)),
        ("both", (Q, S)),
        ("both", (4, 6)),
    ],
)
def test_lengths_that_cudnn_lacks_are_padded_and_change_nothing(cudnn_limits, given, lengths):
    random, (num_queries, num_keys) = np.random.RandomState(0), lengths
    query = jnp.asarray(random.randn(B, num_queries, H, 8), jnp.bfloat16)
    key, value = (jnp.asarray(random.randn(B, num_keys, G, 8), jnp.bfloat16) for _ in range(2))
    is_valid = jnp.arange(num_keys)[None] < jnp.array([[num_keys - 2], [0]])  # one example is blind
    bias = random.randn(1, H, num_queries, num_keys).round(1)
    bias[0, 0, 1] = -np.inf
    attention_mask, bias = {
        "nothing": (None, None),
        "flags of keys": (is_valid[:, None, None], None),
        "a lazy mask": (attention.padding(is_valid=is_valid), None),
        "a bias": (None, jnp.asarray(bias, jnp.bfloat16)),
        "both": (is_valid[:, None, None], jnp.asarray(bias, jnp.bfloat16)),
    }[given]

    def weighted_sum(inputs, way):
        out = attention.attend(*inputs, attention_mask, bias=bias, implementation=way)
        return (out * jnp.arange(8.0).reshape(1, 1, 1, 8)).sum(), out

    gradient = jax.jit(jax.grad(weighted_sum, has_aux=True), static_argnums=1)
    results = [gradient((query, key, value), way) for way in ("cudnn", "xla")]
    for padded, plain in zip(*map(jax.tree.leaves, results)):
        assert padded.shape == plain.shape
        np.testing.assert_allclose(*np.float32([padded, plain]), rtol=0.03, atol=0.06)


@pytest.mark.usefixtures("unchecked")
@every_way
@pytest.mark.parametrize(
    ("key", "value", "options", "message"),
    [
        (
            (B, S, G, 8),
            (B, 1, G, 8),
            {},
            r"values of shape \(2, 1, 2, 8\) for keys",
        ),
        ((B, S, G, 8), (B, S, 1, 8), {}, r"values of shape \(2, 7, 1, 8\) for keys"),
        ((1, S, G, 8), (1, S, G, 8), {}, r"keys of shape \(1, 7, 2, 8\) .* give \(2, S, G, 8\)"),
        ((B, S, G, 1), (B, S, G, 1), {}, r"keys of shape \(2, 7, 2, 1\) .* give \(2, S, G, 8\)"),
        (
            (S, G, 8),
            (S, G, 8),
            {},
            r"keys of shape \(7, 2, 8\) for queries of shape",
        ),
        ((B, S, 0, 8), (B, S, 0, 8), {}, "not a multiple of 0 heads of keys"),
        (
            (B, S, G, 8),
            (B, S, G, 8),
            {"bias": jnp.zeros((Q, S))},
            r"bias of shape \(5, 7\)",
        ),
        ((B, S, G, 8), (B, S, G, 8), {"bias": jnp.ones((1, 1, Q, S), bool)}, "bias holds bool"),
    ],
)
def test_nothing_broadcasts_in_silence(way, key, value, options, message):
    with pytest.raises(ValueError, match=message):
        attention.attend(X, jnp.ones(key), jnp.ones(value), **options, **WAYS[way])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("attention_mask", "message"),
    [
        (
            jnp.where(FLAGS, 0.0, -1e9),
            "attention_mask holds float32: .*are `bias` of attend",
        ),
        (
            FLAGS.astype(int),
            "attention_mask holds int32: .*give attention_mask == 1",
        ),
        (
            jnp.ones((B, Q), bool),
            r"\(2, 5\) .* give padding\(is_valid=...\) of flags \[B S\]",
        ),
        (jnp.ones((B, Q, Q), bool), r"shape \(2, 5, 5\) does not broadcast to \[B H Q S\]"),
        ("causal", "name of one, causal: give make_attention_mask"),
        (attention.causal, "name of one, causal: give make_attention_mask"),
    ],
)
def test_what_is_no_mask_of_queries_and_keys_is_refused(attention_mask, message):
    with pytest.raises(ValueError, match=message):
        attention.attend(X, X, X, attention_mask)


@pytest.mark.usefixtures("unchecked")
def test_other_arguments_are_refused_in_one_line():
    for arguments, options, message in [
        ((jnp.ones((1, 2, 1, 1), int),) * 3, {}, "query holds int32: give floats"),
        ((X, X, X), {"block_size": 2.5}, r"block_size .*2.5: give an int of at least 1"),
        ((X, None, X), {}, "key is None: give an array"),
    ]:
        with pytest.raises(ValueError, match=message):
            attention.attend(*arguments, **options)
    with pytest.raises(ValueError, match="scale is traced: give a number"):
        jax.eval_shape(lambda scale: attention.attend(X, X, X, scale=scale), 0.5)


@pytest.mark.usefixtures("unchecked")
def test_numpy_arrays_and_lists_are_attended_to():
    inputs, (flags, bias) = _inputs(), _case()
    bias = np.where(bias > -np.inf, bias, 0)
    expected = slow(*inputs, flags, np.broadcast_to(bias, flags.shape))
    out = attention.attend(
        *np.float32(inputs[:1]), *np.float32(inputs[1:]), flags, bias=bias.tolist()
    )
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@every_way
def test_no_examples_give_none(way):
    query, keys = jnp.ones((0, Q, H, D)), jnp.ones((0, S, G, D))
    masks = [None, jnp.ones((1, 1, Q, S), bool), attention.padding(lengths=jnp.zeros(0, int))]
    for attention_mask in masks:
        out = attention.attend(query, keys, keys, attention_mask, **WAYS[way])
        assert out.shape == query.shape
