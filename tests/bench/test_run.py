"""The order of a run on one rank: what cannot be done is refused first, what was made is given back."""

from __future__ import annotations

import types

import pytest

from railgauge import clocks
from railgauge.errors import UsageError
from railgauge.plan import Plan
from railgauge.run import Runner
from railgauge.world import Place


class World:
    """All ranks as rank 0 sees them where everybody agrees with it; each on a node of its own."""

    rank, leaders = 0, None

    def __init__(self, size: int) -> None:
        self.size, self.groups = size, []
        self.places = [Place(rank, f"n{rank}", rank, 0, 1) for rank in range(size)]
        self.node = types.SimpleNamespace(broadcast=lambda value: value)

    def all_gather(self, value):
        return [value] * self.size

    def broadcast(self, value, _root=0):
        return value

    def maximum(self, values):
        return values

    def in_turns(self, work):
        pass

    def split(self, ranks):
        if ranks is None:
            return None
        self.groups.append(types.SimpleNamespace(freed=0))
        group = self.groups[-1]
        group.free = lambda: setattr(group, "freed", group.freed + 1)
        return group


class Silent:
    """A watchdog without a voice, and a backend that can do everything."""

    def __init__(self) -> None:
        self.inside: list[object] = []

    def enter(self, phase):
        self.inside.append(phase)

    def leave(self, group):
        self.inside.remove(group)

    def check(self, plan):
        pass

    def prepare(self):
        pass


@pytest.fixture
def runner(monkeypatch):
    """`runner(plan)`: a Runner whose cases take no time; `opened` is true once a folder is made."""
    opened = []
    monkeypatch.setattr(Runner, "_open", lambda *_: opened.append(True) or set())
    monkeypatch.setattr(Runner, "_case", lambda *_: False)
    monkeypatch.setattr(Runner, "_end", lambda _, code: code)

    def make(plan):
        everything = (plan, World(plan.ranks), Silent(), None, Silent(), lambda: False)
        made = Runner(*everything, lambda *_: None)
        made.opened = opened
        return made

    return make


def test_the_groups_of_a_round_are_given_back_after_it(runner):
    made = runner(Plan(ranks=5, pattern="pairs", operations=("sendrecv",), sizes=(8,)))
    assert made.run(False, 0.0) == 0
    assert [group.freed for group in made.world.groups] == [1] * 4  # one of five rounds sits out


def test_an_average_that_cannot_be_checked_is_refused_before_anything_is_measured(runner):
    made = runner(Plan(ranks=200, dtypes=("float32", "int8"), ops=("avg",)))
    with pytest.raises(UsageError, match="--op avg: int8"):
        made.run(False, 0.0)
    assert not made.opened


def test_synchronised_timing_over_clocks_that_cannot_be_compared_is_refused(runner, monkeypatch):
    monkeypatch.setattr(clocks, "boot_id", lambda: "")
    assert runner(Plan(ranks=2, sizes=(8,))).run(False, 0.0) == 0
    made = runner(Plan(ranks=2, sizes=(8,), timing="synchronised"))
    made.opened.clear()
    with pytest.raises(UsageError, match="--timing synchronised: the clocks"):
        made.run(False, 0.0)
    assert not made.opened
