"""What is said of parameter masks in a config, as one checked value."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from maskjax.masking.parameters.sparsities import BENDS
from maskjax.masking.registry import rules_on
from maskjax.spelling import did_you_mean

# Rules that look at gradients: their changes are made by steps that move nothing.
OBSERVING = ("saliency", "fisher", "steepest")
# Those that look at what training did: they begin after the first step.
LATE = (*OBSERVING, "movement")
RAMPS = tuple(BENDS)


class Hides(NamedTuple):
    """What hidden means.

    Attributes:
        zeroes: when hidden weights are set to zero: "always", at a "change", or "never".
        trains: whose gradients are used: of what is "kept", of "all", of what is "hidden".
        is_exact: whether all else is put back bit for bit, after momentum and decay.
        is_aside: whether hidden weights keep a value beside, and the model sees zeros.
    """

    zeroes: str
    trains: str
    is_exact: bool = False
    is_aside: bool = False


HIDES = {
    "weights": Hides("always", "kept"),
    "updates": Hides("never", "kept", is_exact=True),
    "gradients": Hides("never", "kept"),
    "start": Hides("change", "all"),
    "rest": Hides("change", "hidden", is_exact=True),
    "forward": Hides("always", "all", is_aside=True),
    "aside": Hides("always", "kept", is_exact=True, is_aside=True),
}
USUAL: dict[str, Any] = {
    "include": (),
    "exclude": (),
    "rule": "magnitude",
    "file": "",
    "tile": 4,
    "stride": 1,
    "sparsity": 0.5,
    "density": "uniform",
    "sparsities": (),
    "scope": "leaf",
    "granularity": "entry",
    "num_heads": 0,
    "schedule": "one_shot",
    "begin_step": 0,
    "end_step": 0,
    "every_steps": 0,
    "release_step": 0,
    "observe_steps": 0,
    "grow": "none",
    "drop": 0.3,
    "drop_schedule": "constant",
    "hides": "weights",
    "rescale": False,
    "softness": 0.0,
    "hidden_decay": 0.0,
    "rewind_step": -1,
}
_CHOICES = {
    "density": ("uniform", "erk"),
    "scope": ("leaf", "global"),
    "granularity": ("entry", "block", "row", "neuron", "head"),
    "schedule": ("one_shot", *RAMPS, "error"),
    "grow": ("none", "random", "gradient"),
    "drop_schedule": ("constant", "cosine"),
    "hides": tuple(HIDES),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The values of a section "param_masks"; maskjax/param_mask_keys.py says what each means.

    Attributes:
        given: names of those that the config sets itself, not its method.
        total_steps: of the run.
        n_of_m: (N, M) of a granularity "N:M", else None.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    rule: str
    file: str
    tile: int
    stride: int
    sparsity: float
    density: str
    sparsities: tuple[tuple[str, float], ...]
    scope: str
    granularity: str
    num_heads: int
    schedule: str
    begin_step: int
    end_step: int
    every_steps: int
    release_step: int
    observe_steps: int
    grow: str
    drop: float
    drop_schedule: str
    hides: str
    rescale: bool
    softness: float
    hidden_decay: float
    rewind_step: int
    given: frozenset[str]
    total_steps: int
    n_of_m: tuple[int, int] | None = None

    def __post_init__(self):
        """Refuse what does not go together, and settle when masks begin.

        A rule that looks at gradients begins with the first step that it has looked at.
        """
        set_to = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        if found := re.fullmatch(r"(\d+):(\d+)", self.granularity):
            set_to("n_of_m", (int(found[1]), int(found[2])))
        _check_names(self)
        if self.observes:
            set_to("observe_steps", max(1, self.observe_steps))
            if self.every_steps and "every_steps" not in self.given:  # a share of a short run
                set_to("every_steps", max(self.every_steps, self.observe_steps + 1))
        if self.rule in LATE:
            set_to("begin_step", max(self.begin_step, self.observe_steps, 1))
        for problem in (*_of_company(self), *_of_steps(self), *_of_groups(self)):
            raise ValueError(f"param_masks.{problem}")

    @property
    def meaning(self) -> Hides:
        """What hidden means."""
        return HIDES[self.hides]

    @property
    def observes(self) -> bool:
        """Whether changes look at gradients."""
        return self.rule in OBSERVING or self.grow == "gradient"

    @property
    def grows(self) -> bool:
        """Whether what is dropped is replaced."""
        return self.grow != "none"

    @property
    def starts(self) -> bool:
        """Whether there are masks before the first step."""
        return self.begin_step == 0

    @property
    def moves(self) -> bool:
        """Whether masks change after the first step."""
        return bool(self.begin_step or self.every_steps or self.release_step)

    @property
    def is_ramp(self) -> bool:
        """Whether the hidden share rises from change to change."""
        return self.schedule in RAMPS

    @property
    def keeps_aside(self) -> bool:
        """Whether there are weights beside those that the model sees."""
        meaning = self.meaning
        return meaning.is_aside or (self.softness > 0 and meaning.zeroes == "always")

    @property
    def round_steps(self) -> int:
        """Steps that the learning rate's schedule lasts: those of a round where weights rewind."""
        if self.rewind_step < 0:
            return self.total_steps
        return self.begin_step or self.every_steps


def _check_names(options: Options) -> None:
    known = {**_CHOICES, "rule": (*rules_on("weights"), "file")}
    for name, choices in known.items():
        value = getattr(options, name)
        if value not in choices and not (name == "granularity" and options.n_of_m):
            others = ", or N:M as '2:4'" if name == "granularity" else ""
            raise ValueError(
                f"param_masks.{name} is {value!r}{did_you_mean(value, choices)}: it must be one of "
                f"{choices}{others}"
            )


def _of_steps(o: Options) -> Iterator[str]:
    """What is wrong with the steps of changes, and what to do."""
    first = o.begin_step or o.every_steps
    if (o.is_ramp or o.grows or o.schedule == "error") and not o.every_steps:
        what = f"grow {o.grow!r}" if o.grows else f"schedule {o.schedule!r}"
        yield f"every_steps is 0, and {what} goes on from change to change: set every_steps"
    if o.is_ramp and o.end_step <= o.begin_step:
        yield (
            f"end_step {o.end_step} must come after begin_step {o.begin_step}: schedule "
            f"{o.schedule!r} goes from the one to the other"
        )
    steps = ("begin_step", "every_steps", "release_step")
    for name in (*steps, "end_step") if o.is_ramp else steps:
        if 0 < o.total_steps < getattr(o, name):
            step = getattr(o, name)
            yield f"{name} {step} comes after total_steps {o.total_steps}: lower it"
    if o.release_step and o.release_step <= o.begin_step:
        yield f"release_step {o.release_step} must come after begin_step {o.begin_step}: raise it"
    if o.rewind_step >= 0 and o.rewind_step >= first:
        yield (
            f"rewind_step {o.rewind_step} must come before the first change that rewinds, at "
            f"{first}: lower it, or set begin_step or every_steps"
        )
    if o.observe_steps and 0 < o.every_steps <= o.observe_steps:
        yield (
            f"observe_steps {o.observe_steps}, which move nothing, leave none of every_steps "
            f"{o.every_steps} to train in: raise every_steps, or lower observe_steps"
        )


def _of_groups(o: Options) -> Iterator[str]:
    """What is wrong with the granularity, and what to do."""
    if o.granularity == "head" and not o.num_heads:
        yield "granularity 'head' needs to know how many there are: set param_masks.num_heads"
    if not o.n_of_m:
        return
    kept, group = o.n_of_m
    if not 1 <= kept <= group:
        yield (
            f"granularity {o.granularity!r} keeps {kept} of {group}: N must be from 1 to M, as in "
            "'2:4'"
        )
    for name in ("sparsity", "sparsities", "density"):
        if name in o.given:
            yield (
                f"{name} has no place beside granularity {o.granularity!r}, which hides "
                f"{1 - kept / group:.4g} of every leaf: leave it out, or set it to "
                f"{'()' if name == 'sparsities' else None}"
            )


def _of_company(o: Options) -> Iterator[str]:
    """What does not go together, and what to do."""
    uniform, always = ("uniform",), tuple(x for x in HIDES if HIDES[x].zeroes == "always")
    once, updates = {"schedule": ("one_shot",)}, ("gradients", "updates")
    single = once | {"granularity": ("entry",), "scope": ("leaf",), "softness": (0.0,)}
    first = {"begin_step": (0,), "hides": ("weights",)}
    still = {"schedule": ("one_shot",), "every_steps": (0,), "begin_step": (0,)}
    file = still | {"grow": ("none",), "rewind_step": (-1,), "softness": (0.0,)}
    early = ("magnitude", *(x for x in (*rules_on("weights"), "file") if x not in LATE))
    needs = [
        (o.n_of_m is not None, "granularity", once | {"scope": ("leaf",)}),
        (o.granularity == "head", "granularity", {"density": uniform}),
        (o.grows, "grow", single | {"rule": early} | first),
        (o.scope == "global", "scope", {"density": uniform, "sparsities": ((),)}),
        (o.rewind_step >= 0, "rewind_step", {"hides": ("weights",), "softness": (0.0,)}),
        (o.release_step > 0, "release_step", {"hides": always}),
        (o.rescale, "rescale", {"hides": updates}),
        (o.hidden_decay > 0, "hidden_decay", {"hides": ("forward",)}),
        (o.rule == "file", "rule", file),
    ]
    for is_on, name, others in needs:
        unmet = {other: values[0] for other, values in others.items() if is_on}
        unmet = {other: x for other, x in unmet.items() if getattr(o, other) not in others[other]}
        if unmet:
            needed = ", ".join(f"param_masks.{other}={x!r}" for other, x in unmet.items())
            yield f"{name} {getattr(o, name)!r} needs {needed}, or another {name}"
    if (o.rule == "file") != bool(o.file):
        yield "rule 'file' and param_masks.file, a run's folder, go together: set both or none"
