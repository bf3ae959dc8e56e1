"""Who makes a job hang: group testing, with known-good nodes as padding so that the scale stays.

A trial is a job that hangs or passes. A group that hung is cut into halves, each filled up with nodes
that are trusted; a half that hangs is cut again, down to single nodes, and each of those is tried once
more among other partners. Some hangs need scale: half of the nodes pass because they are fewer. Then
either padding keeps the scale, or the smallest number that hangs is searched, and nodes are left out of
jobs that stay as large: the culprit is whoever's absence lets one pass. If all of them hang, it is the
number that matters and nobody is accused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import Literal

from railgauge.errors import UsageError
from railgauge.topology import some

Kind = Literal["nodes", "class", "together", "only at scale", "undecided", "not reproduced"]
#: Jobs that each leave some nodes out, of one search: each may cost its time limit.
MOST_BLOCKS = 32


@dataclasses.dataclass(frozen=True)
class Trial:
    """A job to run: `suspects` and the `padding` that fills it up to `scale`, where there is enough."""

    suspects: tuple[str, ...]
    padding: tuple[str, ...]
    scale: int
    why: str

    @property
    def hosts(self) -> tuple[str, ...]:
        return (*self.suspects, *self.padding)

    @property
    def short(self) -> int:
        """Nodes that it lacks to the scale at which the job hung."""
        return max(0, self.scale - len(self.hosts))


@dataclasses.dataclass(frozen=True)
class HangOutcome:
    """How the search ended.

    nodes: each of `culprits` hung among two sets of partners. class: one of them, and there is no other
    node to tell which. together: the hosts hang with each other and not without one of them. only at scale:
    `smallest` nodes hang whoever is left out. undecided: so many hang, and too few others are there to leave
    anybody out. not reproduced: the same nodes passed the second time.
    `intermittent` hung once and passed once; `cleared` passed at the full scale, `uncleared` are all others.
    """

    kind: Kind
    culprits: tuple[str, ...]
    intermittent: tuple[str, ...]
    cleared: tuple[str, ...]
    uncleared: tuple[str, ...]
    trials: int
    smallest: int | None = None

    def sentence(self) -> str:
        """For people, with what to do next."""
        who = some(self.culprits)
        words = {
            "nodes": f"{who} made every job hang that it was in, and the others pass without;"
            " next: drain it",
            "class": f"one of {who} makes the job hang, and no other node is there to tell which;"
            " next: a spare node as partner of each",
            "together": f"{who} hang with each other and not in parts;"
            " next: the links and settings that they alone share",
            "only at scale": f"{self.smallest} nodes hang whoever is left out, and fewer pass: the number"
            " (or several nodes) and no single node is at fault;"
            " next: limits, connections and memory that grow with the number of nodes",
            "undecided": f"{self.smallest} nodes hang and fewer pass, and too few others are there to leave"
            " some out: a node cannot be told from the number; next: spare nodes in the job, or limits,"
            " connections and memory that grow with the number of nodes",
            "not reproduced": "the nodes that hung passed when tried again;"
            " next: the job's own log, and the same trial several times",
        }[self.kind]
        if len(self.culprits) > 1 and self.kind == "nodes":
            words = words.replace("that it was in", "that one was in").replace(
                "drain it", "drain them"
            )
        if self.intermittent:
            words += f"; {some(self.intermittent)} hung once and passed once"
        return f"{words} ({self.trials} trials)"


Batch = tuple[Trial, ...]
Steps = Generator[Batch, list[bool], HangOutcome]
Found = Generator[Batch, list[bool], list[str]]


class HangSearch:
    """The search, trial by trial: `next_groups`, run them, `record` each, until `outcome` is there.

    `suspects` are the hosts of a job that hung, `good` others that are known to be good. Raises
    UsageError for fewer than two hosts, or one that is both.
    """

    def __init__(
        self, suspects: Sequence[str], good: Sequence[str] = (), scale: int | None = None
    ) -> None:
        self.suspects, self.trusted = tuple(dict.fromkeys(suspects)), list(dict.fromkeys(good))
        if len(self.suspects) < 2 or set(self.suspects) & set(self.trusted):
            raise UsageError(
                f"a hang among {len(self.suspects)} hosts cannot be searched.\n"
                "  expected: two or more hosts that hung, none of them among those known to be good"
            )
        self.scale = scale or len(self.suspects)
        self.outcome: HangOutcome | None = None
        self.trials = 0
        self._culprits: list[str] = []
        self._small: list[str] = []  # passed, but in a smaller job than the one that hung
        self._intermittent: list[str] = []
        self._ended: tuple[Kind, tuple[str, ...], int | None] | None = None
        self._steps = self._search()
        self._waiting: Batch = ()
        self._said: dict[Trial, bool] = {}
        self._go_on(None)

    def next_groups(self) -> Batch:
        """Trials that may run side by side; none once there is an outcome."""
        return tuple(trial for trial in self._waiting if trial not in self._said)

    def record(self, trial: Trial, hung: bool) -> None:
        """What became of one of the trials; raises ValueError for another one."""
        if trial not in self.next_groups():
            raise ValueError("only a trial of next_groups() can be recorded")
        self._said[trial] = hung
        self.trials += 1
        if len(self._said) < len(self._waiting):
            return
        answers = [self._said[each] for each in self._waiting]
        self._said = {}
        self._go_on(answers)

    def _go_on(self, answers: list[bool] | None) -> None:
        try:
            self._waiting = next(self._steps) if answers is None else self._steps.send(answers)
        except StopIteration as stop:
            self._waiting, self.outcome = (), stop.value

    # the search -----------------------------------------------------------------------------------------

    def _search(self) -> Steps:
        group, culprits = self.suspects, self._culprits
        while True:
            found = yield from self._within(group)
            culprits += found
            group = tuple(host for host in self.suspects if host not in culprits)
            if self._ended:
                break
            if len(group) < 2:
                if not self.trusted:  # everybody hung with everybody
                    self._ended = ("undecided", (), 2)
                    culprits.clear()
                break
            rest = self._trial(group, "all but those that were found")
            (hung,) = yield (rest,)
            if not hung:
                # the culprits are what was taken out, unless that are fewer nodes alone
                self.trusted += [host for host in group if host not in self.trusted]
                if rest.short:
                    yield from self._proven(rest.hosts)
                break
        kind, hosts, smallest = self._ended or ("nodes", (), None)
        sure = [host for host in culprits if host not in self._intermittent]
        if kind == "nodes" and not sure:
            kind = "not reproduced"
        accused = (*sure, *(host for host in hosts if host not in sure))
        cleared = tuple(
            host for host in self.suspects if host in self.trusted and host not in accused
        )
        uncleared = tuple(host for host in self.suspects if host not in {*cleared, *accused})
        return HangOutcome(
            kind, accused, tuple(self._intermittent), cleared, uncleared, self.trials, smallest
        )

    def _proven(self, passed: tuple[str, ...]) -> Generator[Batch, list[bool], None]:
        """Does a job that passed hang with a culprit in place of somebody? Else it only was too small."""
        proven = []
        for host in self._culprits:
            swapped = (*passed[:-1], host)
            why = f"{host} in place of {passed[-1]}"
            (hung,) = yield (Trial(swapped, (), self.scale, why),)
            if hung:
                proven.append(host)
        unproven = not proven and self._culprits
        self._culprits[:] = proven
        if unproven:
            self._culprits += yield from self._at_scale(self.suspects, len(passed))

    def _within(self, group: tuple[str, ...]) -> Found:
        """The culprits of a group that hung."""
        if len(group) == 1:
            return (yield from self._again(group[0]))
        if len(group) == 2 and not self._padding(group):
            self._ended = ("class", group, None)
            return []
        half = len(group) // 2
        parts = (group[:half], group[half:])
        hung = yield from self._parts(parts)
        if not any(hung):
            return (yield from self._together(group, half))
        found: list[str] = []
        for part, bad in zip(parts, hung, strict=True):
            if bad and not self._ended:
                found += yield from self._within(part)
        return found

    def _parts(
        self, parts: tuple[tuple[str, ...], ...]
    ) -> Generator[Batch, list[bool], list[bool]]:
        """Try both halves: at the same time where the trusted nodes fill up both."""
        room = len(self.trusted) - sum(self.scale - len(part) for part in parts)
        if room >= 0:
            first = self._trial(parts[0], "half of what hung")
            second = self._trial(parts[1], "the other half", taken=first.padding)
            answers = yield (first, second)
            for trial, hung in zip((first, second), answers, strict=True):
                self._note(trial, hung)
            return answers
        answers = [False, False]
        for place in (1, 0):  # the larger half first
            trial = self._trial(parts[place], "half of what hung", apart=parts)
            if len(trial.hosts) < 2:  # nobody to talk to: with the other half it hung already
                answers[place] = not answers[1 - place]
                continue
            (answers[place],) = yield (trial,)
            self._note(trial, answers[place])
        return answers

    def _again(self, host: str) -> Found:
        """A single node that hung, among other partners."""
        trial = self._trial((host,), "once more, among other partners", turned=True)
        (hung,) = yield (trial,)
        if not hung:
            self._intermittent.append(host)
        return [host]

    def _together(self, group: tuple[str, ...], passes: int) -> Found:
        """Halves pass: was it by chance, by scale, or are there hosts that hang together?"""
        trial = self._trial(group, "the same as before", apart=(group,))
        (hung,) = yield (trial,)
        if not hung:
            self._ended = ("not reproduced", (), None)
            return []
        return (yield from self._at_scale(group, passes))

    def _at_scale(self, group: tuple[str, ...], passes: int) -> Found:
        """Who of a group that hangs, where `passes` of its hosts do not."""
        # a culprit at the end of one order is at the beginning of the other
        hangs = yield from self._smallest(group, passes, len(group))
        hangs = yield from self._smallest(group[::-1], passes, hangs)
        size = len(self._trial(group[:hangs], "", apart=(group,)).hosts)
        return (yield from self._left_out(group, size))

    def _smallest(
        self, group: tuple[str, ...], passes: int, hangs: int
    ) -> Generator[Batch, list[bool], int]:
        """How many of the first hosts of a group it takes: more than `passes`, `hangs` at most."""
        while hangs - passes > 1:
            middle = (hangs + passes) // 2
            (hung,) = yield (
                self._trial(group[:middle], "the smallest part that hangs", apart=(group,)),
            )
            hangs, passes = (middle, passes) if hung else (hangs, middle)
        return hangs

    def _left_out(self, group: tuple[str, ...], size: int) -> Found:
        """Jobs of `size` hosts hang, smaller ones pass: whose absence ends that, with as many left?

        Those of a job that stays large enough are left out block by block. Without its culprit it passes;
        where it hangs whoever is missing, it is the number.
        """
        known = (*group, *self.suspects, *self.trusted)
        pool = tuple(host for host in dict.fromkeys(known) if host not in self._culprits)
        spare = len(pool) - size
        whose = [host for host in pool if host in group or host not in self.trusted]
        blocks = [tuple(whose[k : k + spare]) for k in range(0, len(whose), spare)] if spare else []
        if not 0 < len(blocks) <= MOST_BLOCKS:
            self._ended = ("undecided", (), size)
            return []
        found: list[str] = []
        needed = 0
        for block in blocks:
            if (yield from self._passes_without(pool, block)):
                found += yield from self._narrowed(pool, block)
                needed += 1
        if not found:
            self._ended = ("only at scale", (), size)
        elif needed > 1:
            self._ended = ("together", tuple(found), None)
        return [] if self._ended else found

    def _passes_without(
        self, pool: Sequence[str], block: Sequence[str]
    ) -> Generator[Batch, list[bool], bool]:
        left = tuple(host for host in pool if host not in block)
        (hung,) = yield (Trial(left, (), self.scale, f"without {some(block)}"),)
        return not hung

    def _narrowed(self, pool: Sequence[str], block: tuple[str, ...]) -> Found:
        """Whom of a block it takes: without all of it the job passes."""
        if len(block) == 1:
            return [block[0]]
        halves = (block[: len(block) // 2], block[len(block) // 2 :])
        first = yield from self._passes_without(pool, halves[0])
        second = yield from self._passes_without(pool, halves[1])
        if first and second:  # neither hangs without the other
            both = yield from self._narrowed(pool, halves[0])
            both += yield from self._narrowed(pool, halves[1])
            self._ended = ("together", tuple(both), None)
            return both
        if first or second:
            return (yield from self._narrowed(pool, halves[0 if first else 1]))
        found = []  # both halves hang by themselves
        for half, other in (halves, halves[::-1]):
            others = [host for host in pool if host not in other]
            found += yield from self._narrowed(others, half)
        return found

    # trials ---------------------------------------------------------------------------------------------

    def _padding(self, group: Sequence[str]) -> list[str]:
        """Whom a group may be filled up with, the most trusted first."""
        barred = {*group, *self._culprits}
        return [host for host in (*self.trusted, *self._small) if host not in barred]

    def _trial(
        self,
        group: Sequence[str],
        why: str,
        *,
        taken: Sequence[str] = (),
        apart: Sequence[Sequence[str]] = (),
        turned: bool = False,
    ) -> Trial:
        """`apart`: groups whose members are under test together, and pad nobody unless trusted."""
        barred = {host for each in apart for host in each} - set(self.trusted)
        usable = [h for h in self._padding(group) if h not in taken and h not in barred]
        if turned:
            usable = usable[::-1]
        room = max(0, self.scale - len(group))
        return Trial(tuple(group), tuple(usable[:room]), self.scale, why)

    def _note(self, trial: Trial, hung: bool) -> None:
        """Who passed pads others: with full trust where the job was as large as the one that hung."""
        if not hung:
            pool = self._small if trial.short else self.trusted
            pool += [host for host in trial.suspects if host not in pool]
