"""Studies that are computed: what is so small that all seeds of a setting are one program."""

from pathlib import Path

import numpy as np

from maskjax.paths import atomic_file
from maskjax.terminal import say
from maskjax.tools.study import Study
from maskjax.tools.study_run import Measured, claim

VALUES = "values.npz"  # in a study's folder: every number of every seed


def run(study: Study, folder: Path, part: str = "") -> None:
    """Compute every setting of a study, and keep the numbers in its folder.

    Args:
        study: with `compute`.
        folder: of the study.
        part: --part, which is refused.

    Raises:
        ValueError: the folder is another study's, a part is asked for, or `compute` does not give
            a number a seed of every metric.
    """
    if part:
        raise ValueError(f"--part={part}: a study that is computed takes seconds; leave it out")
    assert study.compute is not None
    claim(study, folder)
    found: dict[str, np.ndarray] = {}
    for place, setting in enumerate(study.settings):
        numbers = dict(study.compute(study.seeds, **setting.overrides))
        for metric in study.metrics:
            values = np.asarray(numbers.get(metric, ()), np.float64)
            if values.shape != (len(study.seeds),):
                raise ValueError(
                    f"study {study.name}, setting {setting.name!r}: compute gives {metric!r} as "
                    f"{values.shape} and not a number a seed, {(len(study.seeds),)}"
                )
            found[f"{setting.name}/{metric}"] = values
        told = "  ".join(f"{it} {found[f'{setting.name}/{it}'].mean():.4g}" for it in study.metrics)
        say(f"[{place + 1}/{len(study.settings)}] {setting.name}: {told}")
    with atomic_file(folder / VALUES, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **found)


def computed(study: Study, folder: Path) -> dict[str, Measured | None]:
    """Read what was computed, by the names of runs; they stand with the validation split."""
    with np.load(folder / VALUES) as file:
        found = {name: file[name] for name in file.files}
    return {
        f"{setting.name},seed={seed}": {
            "validation": {it: float(found[f"{setting.name}/{it}"][at]) for it in study.metrics}
        }
        for setting in study.settings
        for at, seed in enumerate(study.seeds)
    }
