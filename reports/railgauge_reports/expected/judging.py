"""Whether a threshold can do its job: can it be reached at all, and what would it let through?"""

# ruff: noqa: N802  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import cached_property

from railgauge.expectation.algorithms import FORMS
from railgauge.units import GIGA, format_seconds, format_size
from railgauge_reports.expected.question import (
    ENDLESS,
    Curve,
    Question,
    curve,
    dead_rails,
    regime,
    reshaped,
    slowest_share,
)
from railgauge_reports.expected.thresholds import (
    BANDWIDTH_UNITS,
    TIME_UNITS,
    Judged,
    Threshold,
    Word,
)
from railgauge_reports.expected.words import figure

#: A limit that lets a part run this much below its rate is blind (ours: twice what gates in use leave).
BLIND_SHARE = 0.8
EXACT = 1 + 1e-9  # a limit that is the bound itself
#: Limits that are advised: the first that a dead rail fails.
ADVISED_SHARES = (0.9, 0.91, 0.92, 0.93, 0.94, 0.95)
#: Where latency rules, a limit of more than this times the slowest expected is blind (ours).
BLIND_LATENCY = 2.0


@dataclasses.dataclass(frozen=True)
class Limit:
    """A threshold that says enough, on its question."""

    threshold: Threshold
    question: Question

    # what is expected -----------------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Of the message; where that is not said, so many that bytes rule alone."""
        return self.threshold.size or ENDLESS

    @cached_property
    def band(self) -> Curve:
        return curve(self.question, [self.nbytes])

    @property
    def algorithm(self) -> str:
        """The one asked for, or that NCCL is taken to choose."""
        return self.band.algorithms[0]

    @property
    def bounds(self) -> dict[str, float]:
        return self.question.bounds

    @property
    def bound_GBps(self) -> float:
        return max(self.bounds.values())

    @property
    def expected_GBps(self) -> float:
        """busbw by the model's middle; the bound where the model has no time."""
        middle = float(self.band.seconds[0])
        return float(self.band.bound_GBps[0]) if middle != middle else self._busbw(middle)

    @property
    def value_GBps(self) -> float:
        """The limit as busbw."""
        unit, value = self.threshold.unit or "", self.threshold.value
        if unit == "of expected":
            return value * self.expected_GBps
        if unit in TIME_UNITS:
            return self._busbw(value * TIME_UNITS[unit])
        as_typed = value * BANDWIDTH_UNITS[unit]
        return as_typed * self.band.factor if self.threshold.quantity == "algbw" else as_typed

    def _busbw(self, seconds: float) -> float:
        return self.nbytes / seconds / GIGA * self.band.factor

    @property
    def _rails(self) -> bool:
        """Whether several NICs of an island share the work, so that one can be missed."""
        s = self.question.shape
        return s.islands > 1 and s.nics > 1 and s.pattern == "world"

    # in words -------------------------------------------------------------------------------------------

    def shown(self, busbw_GBps: float) -> str:  # noqa: N803  (a unit)
        """A busbw as the limit has it: a time where that is one."""
        if self.threshold.unit in TIME_UNITS:
            return format_seconds(self.nbytes / GIGA * self.band.factor / busbw_GBps)
        return f"{figure(busbw_GBps)} GB/s"

    @property
    def typed(self) -> str:
        """The limit as it stands in the file, and as busbw where that is another figure."""
        unit = self.threshold.unit or ""
        own = f"{self.threshold.value:g} {unit}"
        if unit in TIME_UNITS or (unit == "GB/s" and self.threshold.quantity != "algbw"):
            return own
        return f"{own} ({figure(self.value_GBps)} GB/s busbw)"

    @property
    def where(self) -> str:
        """`4 nodes of 8 x 400 Gb/s with ring`."""
        node, s = self.question.cluster.node, self.question.shape
        several = len(FORMS[self.question.operation]) > 1
        by = f" with {self.algorithm}" if several else ""
        if s.islands > 1:
            return f"{s.nodes} nodes of {node.nics} x {node.nic_Gbps:g} Gb/s{by}"
        return f"{s.nodes} node{'s' * (s.nodes > 1)} of {node.gpus} GPUs{by}"

    @property
    def size(self) -> str:
        if self.threshold.nbytes is None:
            return ""
        text = format_size(self.nbytes)
        return f" at {text}{' B' * text.isdecimal()}"

    # the judgement --------------------------------------------------------------------------------------

    def judged(self) -> Judged:
        """The verdict, first of what cannot be, then of what it lets through."""
        if self.threshold.unit == "of median":
            return self._made(*self._of_median())
        if self.threshold.unit in TIME_UNITS and self.threshold.nbytes is None:
            return self._made("unknown", ["a time is of one size"], missing=["nbytes"])
        notes = []
        if self.threshold.nbytes is None:
            notes.append("nbytes is not said: taken as a message so large that bytes rule alone")
        if not self.threshold.source:
            notes.append("source is not said: where is the figure from?")
        verdict, words, missing = self._reach()
        broken: dict[str, float | None] = {}
        if verdict == "fine":
            verdict, more, broken = self._blindness()
            words += more
        if verdict in ("unreachable", "blind"):
            words.append(self._advice())
        return self._made(
            verdict, [*words, *notes], missing=missing, value=self.value_GBps, broken=broken
        )

    def _reach(self) -> tuple[Word, list[str], list[str]]:
        """Whether a healthy machine gets there, and what has to be said for an answer."""
        value, expected = self.value_GBps, self.expected_GBps
        high = self._busbw(float(self.band.seconds_low[0]))
        of = f"{self.shown(expected)} expected{self.size} of {self.where}"
        if value > self.bound_GBps * EXACT:
            return "unreachable", [self._above_bound(), *self._mixed_up()], []
        if value > min(self.bounds.values()) * EXACT:
            can = _listed((n, b) for n, b in self.bounds.items() if b >= value)
            cannot = _listed((n, b) for n, b in self.bounds.items() if b < value)
            words = f"{self.typed} is below the bound of {can} and above that of {cannot} GB/s"
            return "unknown", [f"{words}; NCCL is taken to choose {self.algorithm}"], ["algorithm"]
        if value > high * EXACT:
            words = f"{self.typed} is out of reach: {of}, {self.shown(high)} at best"
            links = f"the links alone would allow {self.shown(self.bound_GBps)}"
            return "unreachable", [f"{words} ({links})"], []
        if value > expected * EXACT:
            doubt = (
                f"and within the bound ({self.shown(high)} at best): a healthy machine may fail it"
            )
            return "unknown", [f"{self.typed} is better than the {of}, {doubt}"], []
        share = expected / value if self.threshold.unit in TIME_UNITS else value / expected
        return "fine", [f"{self.typed} is {share:.0%} of the {of}"], []

    def _above_bound(self) -> str:
        best = max(self.bounds, key=lambda name: self.bounds[name])
        any_of = (
            "" if len(self.bounds) == 1 else f" or any other algorithm, of which {best} is best"
        )
        return (
            f"{self.typed} cannot be reached by {self.where}{any_of}: the bound is"
            f" {self.shown(self.bound_GBps)}, and the limit {self.value_GBps / self.bound_GBps - 1:.0%}"
            " above it"
        )

    def _mixed_up(self) -> list[str]:
        """What the figure might have meant."""
        value, most, low = self.value_GBps, self.bound_GBps, self.expected_GBps / 2
        unit, factor = self.threshold.unit or "", self.band.factor
        found = []
        if unit.endswith("B/s") and low <= value / 8 <= most:
            found.append(f"Gb/s written as GB/s? {figure(value)} Gb/s are {figure(value / 8)} GB/s")
        if 0.9 * most <= value / 2 <= most:
            found.append(f"both directions counted? one of them is {figure(value / 2)} GB/s")
        if self.threshold.quantity == "algbw" and low <= value / factor <= most:
            found.append(f"busbw written as algbw? here busbw = algbw x {figure(factor)}")
        return found

    def _blindness(self) -> tuple[Word, list[str], dict[str, float | None]]:
        """What may be broken while it passes."""
        if regime(float(self.band.seconds[0]), float(self.band.latency_seconds[0])) == "latency":
            return (*self._late(), {})
        s, value, name, rails = self.question.shape, self.value_GBps, self.algorithm, self._rails
        dead = dead_rails(self.question, name, value, self.nbytes) if rails else None
        slow = slowest_share(self.question, name, value, self.nbytes)
        of = "a GPU's NVLink" if s.islands == 1 else "a NIC"
        part = f"with {of} at {slow:.0%} of its rate"
        broken = {"dead_rails": dead, "slow_share": slow}
        if dead:
            left = reshaped(self.question, s.with_nics(s.nics - dead))
            bound = next(e for e in left.everything if e.form.name == name).bound_GBps
            told = f"{self.typed} still passes with {dead} of {s.nics} rails dead"
            words = [
                f"{told}: the bound is {self.shown(bound)} then; and {part}",
                *self._too_small(),
            ]
            return "blind", words, broken
        if not rails and slow <= BLIND_SHARE:
            return "blind", [f"{self.typed} still passes {part}", *self._too_small()], broken
        seen = f"one dead rail of {s.nics} fails it" if rails else f"it passes {part}"
        return "fine", [seen], broken

    def _late(self) -> tuple[Word, list[str]]:
        """Where latency rules rails do not show, only that everything is slow."""
        slowest = self._busbw(float(self.band.seconds_high[0]))
        times = self.expected_GBps / self.value_GBps
        told = (
            f"it passes while all takes {times:.2g} times as long; a dead rail does not show here"
        )
        if self.value_GBps * BLIND_LATENCY < slowest:
            return "blind", [f"{told}: {self.shown(slowest)} are the slowest expected"]
        return "fine", [told]

    def _too_small(self) -> list[str]:
        """GB/s written as Gb/s: eight times too little."""
        unit, value = self.threshold.unit or "", self.threshold.value
        fits = self.expected_GBps / 2 <= value <= self.bound_GBps
        if unit == "Gb/s" and fits:
            return [f"GB/s written as Gb/s? {value:g} Gb/s are {figure(value / 8)} GB/s"]
        return []

    def _of_median(self) -> tuple[Word, list[str]]:
        """A part of what the fleet reaches: whatever that is, a lost rail takes its share of it."""
        s, share = self.question.shape, self.threshold.value
        if share > 1:
            return "unreachable", ["half of a fleet lies below its own median"]
        left = 1 - 1 / s.nics if self._rails else BLIND_SHARE
        if share <= left:
            lost = f"one rail of {s.nics} dead" if self._rails else "a part below its rate"
            return "blind", [
                f"{share:g} of the median still passes with {lost}: {left:.1%} are left"
            ]
        return "fine", [f"{share:g} of the median sees a loss of {1 - share:.1%}"]

    def _advice(self) -> str:
        """A limit that could do the job, or the measurement that does it better."""
        for share in ADVISED_SHARES:
            limit = self.expected_GBps * share
            if self._rails and dead_rails(self.question, self.algorithm, limit, self.nbytes):
                continue
            told = f"{self.shown(limit)} of {self.where}"
            return f'next: value = {share:g}, unit = "of expected" ({told})'
        see = "railgauge run --pattern pairs --operation sendrecv measures every rail by itself"
        return f"next: no limit that a healthy machine passes sees a dead rail here; {see}"

    def _made(
        self,
        verdict: Word,
        words: Sequence[str],
        missing: Sequence[str] = (),
        value: float | None = None,
        broken: dict[str, float | None] | None = None,
    ) -> Judged:
        facts = broken or {}
        asked = [f"missing: {', '.join(missing)}"] if missing else []
        dead = facts.get("dead_rails")
        return Judged(
            name=self.threshold.name,
            verdict=verdict,
            words=[*asked, *words],
            missing=list(missing),
            value_GBps=value,
            bound_GBps=self.bound_GBps,
            expected_GBps=self.expected_GBps,
            over_bound=None if value is None else value / self.bound_GBps - 1,
            dead_rails=None if dead is None else int(dead),
            rails=self.question.shape.nics if self.question.shape.islands > 1 else None,
            slow_share=facts.get("slow_share"),
        )


def _listed(bounds: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {figure(bound)}" for name, bound in bounds)
