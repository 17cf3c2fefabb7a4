"""What XLA:CPU does not choose by itself: which library multiplies, and that memory is kept."""

import ctypes
import functools
import os
import platform
from pathlib import Path
from typing import Any

import jax

from maskjax.models.layers import WIDE
from maskjax.typing import PyTree

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # <malloc.h>
_LARGEST, _NEVER = 2**31 - 1, -1  # of the threshold: it is an int
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_FUSIONS = "xla_cpu_experimental_ynn_fusion_type"
_EIGEN = {_FUSIONS: "LIBRARY_FUSION_TYPE_REDUCE"}

_is_kept = False
_largest_program = 0


def compiler_options(params: PyTree) -> dict[str, Any]:
    """Options for XLA:CPU by which the products of wide networks are Eigen's.

    XLA has YNNPACK compute them together with what stands around them. That is faster where
    kernels are small; wide ones are multiplied at 145 GFLOP/s a core in place of 170.

    Args:
        params: that a program reads, or their shapes; other arrays may be among them.

    Returns:
        Names and values; empty where no kernel is wide, JAX computes elsewhere or does not know
        the option, or XLA_FLAGS say otherwise.
    """
    if jax.default_backend() != "cpu" or _FUSIONS in os.environ.get("XLA_FLAGS", ""):
        return {}
    named = [(jax.tree_util.keystr(p), x.shape) for p, x in jax.tree.leaves_with_path(params)]
    is_wide = any("'kernel'" in n and len(s) == 2 and min(s) >= WIDE for n, s in named)
    return dict(_EIGEN) if is_wide and _is_known(**_EIGEN) else {}


@functools.cache
def _is_known(**options: Any) -> bool:
    """Whether this XLA takes options; experimental ones come and go."""
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=options)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def keep_freed_memory() -> bool:
    """Tell glibc to serve large blocks from its heap and not to give freed ones back.

    XLA:CPU takes each step's temporaries from malloc in one block. By default glibc maps such a
    block anew every time, and the kernel zeroes its pages as they are touched, which cost a ViT-Ti
    on two cores a quarter of its step time. Other C libraries are left alone.

    Above 2 GB free memory at the heap's end is still given back, unless `make_room` is told of
    programs that need more.

    It must be called before JAX starts its backend: the threads that this makes would otherwise
    have heaps of their own, to which the setting does not apply.

    Returns:
        Whether the setting was made.
    """
    global _is_kept
    settings = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _LARGEST}
    _is_kept = platform.libc_ver()[0] == "glibc" and all(map(_set, *zip(*settings.items())))
    return _is_kept


def make_room(size: int) -> bool:
    """Keep freed memory of any size where a program wants more than 2 GB, within limits.

    The limit is a quarter of the memory: what is allocated in between leaves no room for a program
    where it was, so twice its size can be held.

    Args:
        size: bytes of a program's temporaries.

    Returns:
        Whether all that is freed is kept from now on; not without `keep_freed_memory`.
    """
    global _largest_program
    _largest_program = max(_largest_program, size)
    is_whole = _is_kept and _LARGEST <= _largest_program <= _memory() // 4
    if _is_kept:
        _set(_M_TRIM_THRESHOLD, _NEVER if is_whole else _LARGEST)
    return is_whole


def _set(name: int, value: int) -> bool:
    return ctypes.CDLL(None).mallopt(name, value) == 1


def _memory() -> int:
    """Bytes of memory that this process may use."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.exists() else "max"
    return machine if limit == "max" else min(machine, int(limit))
