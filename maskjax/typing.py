"""Shape annotations: jaxtyping's where it is installed, inert stand-ins where it is not.

`maskjax.masking` needs jax and numpy alone, yet its signatures name shapes; so does everything
else. The test run has jaxtyping check them (tests/conftest.py); plain runs do not.
"""

from collections.abc import Mapping
from typing import Any

from jax import Array

try:
    from jaxtyping import Bool, Float, Int, Key, Num, PyTree, Shaped
except ImportError:  # pragma: no cover - exercised by a subprocess in tests/typing_test.py

    class _Inert:
        def __class_getitem__(cls, _):
            return Any

    Bool = Float = Int = Key = Num = PyTree = Shaped = _Inert  # type: ignore[assignment,misc]

# A compute dtype: jnp.float32, jnp.bfloat16 or the dtypes of those names.
DType = Any
# A nested dictionary of arrays, as Linen's `init` returns it.
Params = Mapping[str, Any]
# One batch: the arrays that a processor makes, such as "inputs" [B, *shape]; "id", "epoch" and
# "is_valid" [B]; where examples have classes "label" [B].
Batch = Mapping[str, Any]

__all__ = [
    "Array", "Batch", "Bool", "DType", "Float", "Int", "Key", "Num", "Params", "PyTree", "Shaped",
]  # fmt: skip
