"""What XLA:CPU and malloc are told: wide kernels alone, and memory within limits."""

import jax
import jax.numpy as jnp
import pytest

from maskjax.training import cpu, parallel

GIB = 2**30


def _params(**shapes):
    return {n: {"kernel": jax.ShapeDtypeStruct(s, jnp.float32)} for n, s in shapes.items()}


@pytest.mark.parametrize(
    ("params", "is_wide"),
    [
        (_params(fc1=(768, 3072)), True),
        (_params(embedding=(64, 64), head=(384, 384)), True),
        (_params(embedding=(64, 30522), fc1=(192, 768)), False),
        (_params(conv=(3, 3, 512, 512)), False),
        ({"scores": jax.ShapeDtypeStruct((4096, 784), jnp.float32)}, False),  # multiplies nothing
        ((), False),
    ],
)
def test_products_are_left_to_eigen_where_a_kernel_is_wide(params, is_wide):
    assert bool(cpu.compiler_options(params)) == is_wide


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch):
    wide = _params(fc1=(768, 3072))
    with monkeypatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_cpu_experimental_ynn_fusion_type=")
        assert cpu.compiler_options(wide) == {}
    assert cpu.compiler_options(wide)
    monkeypatch.setattr(cpu, "_EIGEN", {"xla_cpu_of_another_version": "on"})
    assert cpu.compiler_options(wide) == {}


@pytest.mark.parametrize("width", [64, 384])
def test_the_products_of_a_wide_network_are_compiled_as_such(width):
    spread = parallel.Spread(1)
    program = spread.program(lambda params, rows: rows @ params["fc"]["kernel"], rows_out=True)
    rows = jax.ShapeDtypeStruct((1, 64, width), jnp.float32)
    text = program.compile_for(_params(fc=(width, width)), rows).as_text()
    assert ("__ynn_fusion" in text) == (width < 384)
    assert text.count(" dot(") == 1


@pytest.fixture
def told(monkeypatch):
    """What glibc is told about when to give memory back, in a machine of 24 GiB."""
    thresholds = []

    def tell(name, value):
        if name == cpu._M_TRIM_THRESHOLD:
            thresholds.append(value)
        return True

    monkeypatch.setattr(cpu, "_set", tell)
    monkeypatch.setattr(cpu, "_memory", lambda: 24 * GIB)
    monkeypatch.setattr(cpu, "_is_kept", False)
    monkeypatch.setattr(cpu, "_largest_program", 0)
    monkeypatch.setattr(cpu.platform, "libc_ver", lambda: ("glibc", "2.39"))
    return thresholds


def test_freed_memory_is_kept_for_a_program_up_to_a_quarter_of_the_machine(told):
    assert cpu.keep_freed_memory()
    whole = [cpu.make_room(size * GIB) for size in (1, 3, 1, 6, 7, 3)]
    assert whole == [False, True, True, True, False, False]  # that of 7 GiB is still there
    two_gb = 2**31 - 1
    assert told == [two_gb, two_gb, -1, -1, -1, two_gb, two_gb]


def test_nothing_is_set_where_nothing_is_kept(told, monkeypatch):
    assert not cpu.make_room(3 * GIB)
    monkeypatch.setattr(cpu.platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not cpu.keep_freed_memory()
    assert not cpu.make_room(3 * GIB)
    assert told == []


def test_a_limit_of_the_group_counts_as_memory(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(cpu, "_CGROUP_LIMIT", limit)
    machine = cpu._memory()
    limit.write_text("max\n")
    assert cpu._memory() == machine > GIB
    limit.write_text("1048576\n")
    assert cpu._memory() == 2**20
