"""Memory of the host: keep what XLA frees, so that a step does not fault its pages in again."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # <malloc.h>


def keep_freed_memory() -> bool:
    """Tell glibc to serve large blocks from its heap and never give freed ones back.

    XLA:CPU takes each step's temporaries from malloc in one block. By default glibc maps such a
    block anew every time, and the kernel zeroes its pages as they are touched, which cost a ViT-Ti
    on two cores a quarter of its step time. Other C libraries are left alone.

    Above 2 GB free memory at the heap's end is still given back. To keep that as well (-1) made a
    step of 4.2 s one of 3.7 s (ViT-B), but a step of 10 GB then held 18: what is allocated in
    between leaves no room for it where it was.

    It must be called before JAX starts its backend: the threads that this makes would otherwise
    have heaps of their own, to which the setting does not apply.

    Returns:
        Whether the setting was made.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
