"""Masking must import where jax and numpy are all there is."""

import subprocess
import sys

SCRIPT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jaxtyping", "flax", "optax", "orbax", "ml_collections", "grain"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import jax
from maskjax import masking
keys = jax.random.split(jax.random.key(0), 2)
drawn = masking.draw(masking.make_rule("block"), keys, (6, 6), 20)
print(drawn.is_masked.sum(1).tolist())
"""


def test_masking_runs_without_jaxtyping_flax_or_any_other_package():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[0] == "[20, 20]"
