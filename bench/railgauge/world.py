"""The ranks of a run as the rest of the house sees them, whatever carries their messages.

`World` and `Group` are the control plane: small objects, agreed decisions. What is measured runs
through a `Backend`, which turns a case into programs for the compiled loops.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from railgauge.buffers import Buffers
from railgauge.layouts import Group as GroupFacts
from railgauge.loop import Table
from railgauge.plan import Case, Plan


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a rank runs: host, index of the node among all nodes, order on it, and pid."""

    rank: int
    host: str
    node: int
    local_rank: int
    pid: int


class Communicator(Protocol):
    """Ranks that can talk: the world, the ranks of one node, or a group of a round."""

    rank: int
    size: int

    def barrier(self) -> None: ...
    def broadcast(self, value: Any, root: int = 0) -> Any: ...
    def gather(self, value: Any) -> list[Any] | None: ...
    def all_gather(self, value: Any) -> list[Any]: ...
    def maximum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]: ...
    def gather_values(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None: ...
    def exchange_clocks(
        self, peer: int, rounds: int, clock: Callable[[], int]
    ) -> list[tuple[int, int, int]]: ...
    def free(self) -> None:
        """Give a group's communicator back, all of its ranks together: libraries have few."""


class World(Communicator, Protocol):
    """All ranks of the run."""

    places: Sequence[Place]
    node: Communicator  #: the ranks of this rank's node
    leaders: Communicator | None  #: the first rank of every node (None on other ranks)
    thread_level: str
    library: str
    init_seconds: float

    def split(self, ranks: Sequence[int] | None) -> Communicator | None:
        """The group that this rank belongs to (None: it belongs to none); all ranks call it."""

    def in_turns(self, work: Callable[[], None]) -> None:
        """Rank 0 does `work`, then the first rank of every node, then all others."""


@dataclasses.dataclass
class Bound:
    """A case ready to be timed on one rank.

    `programs` is int64[sets, steps, STEP_WIDTH], one program for each set of buffers;
    `waits_at` is the row of the first step that waits for what those before it have started.
    `barrier` lets the group meet; `close` frees requests; `keep` holds what the steps point to.
    """

    programs: Table
    waits_at: int
    barrier: Table
    close: Callable[[], None]
    keep: list[Any]


class Backend(Protocol):
    """One way to move data: a file of `railgauge.backends`."""

    def check(self, plan: Plan) -> None:
        """Raise UsageError where the library cannot do what the plan asks."""

    def bind(
        self,
        plan: Plan,
        case: Case,
        facts: GroupFacts,
        group: Any,
        buffers: Buffers,
    ) -> Bound:
        """The programs of a case for this rank."""

    def explain(self, code: int) -> str:
        """What a step's non-zero return value means."""
