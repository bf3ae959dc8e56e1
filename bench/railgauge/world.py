"""The ranks of a run as the rest of the house sees them, whatever carries their messages.

`World` and `Group` are the control plane: small objects, agreed decisions. What is measured runs
through a `Backend`, which turns a case into programs for the compiled loops.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from railgauge import records
from railgauge.buffers import Buffers
from railgauge.compute import Compute
from railgauge.errors import RailgaugeError
from railgauge.flow_clock import FlowClock
from railgauge.layouts import Group as GroupFacts
from railgauge.loop import Table, table
from railgauge.memory import Memory
from railgauge.plan import Case, Plan
from railgauge.records import Allowed, Choice, Overlap, Wrong

T = TypeVar("T")


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
    def barrier_program(self) -> Table:
        """The barrier as steps for the compiled loops."""

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

    def meet(self) -> Callable[[], bool]:
        """Come to a barrier and go on: says, each time it is asked, whether all have come."""

    def split(self, ranks: Sequence[int] | None) -> Communicator | None:
        """The group that this rank belongs to (None: it belongs to none); all ranks call it."""

    def in_turns(self, work: Callable[[], None]) -> None:
        """Rank 0 does `work`, then the first rank of every node, then all others."""


def together(world: World, work: Callable[[], T]) -> T:
    """What `work` returns here; where it raises a RailgaugeError on any rank, that one on all.

    It names the first rank that failed, unless all did.
    """
    made, problem = [], None
    try:
        made.append(work())
    except RailgaugeError as error:
        problem = error
    problems = world.all_gather(problem)
    first = next((rank for rank, error in enumerate(problems) if error), None)
    if first is None:
        return made[0]
    place = world.places[first]
    who = "" if all(problems) else f"rank {first} on {place.host}: "
    raised = type(problems[first])(f"{who}{problems[first]}")
    raised.agreed = True
    raise raised


def by_rank_0(world: World, work: Callable[[], T]) -> T:
    """What `work` returns on rank 0, which alone does it; where it raises a RailgaugeError, that on all."""
    made: T | RailgaugeError | None = None
    if world.rank == 0:
        try:
            made = work()
        except RailgaugeError as error:
            made = error
    told: T | RailgaugeError = world.broadcast(made)
    if isinstance(told, RailgaugeError):
        told.agreed = True
        raise told
    return told


def on_rank_0(world: World, said: T | None) -> list[T] | None:
    """What ranks have to say, node by node, on rank 0 (None elsewhere); all ranks call it.

    It goes by way of the first rank of each node, so that rank 0 hears from as many as there are
    nodes, and ranks that have nothing to say (None) cost it nothing.
    """
    on_node = world.node.gather(said)
    if world.leaders is None:
        return None
    parts = world.leaders.gather([one for one in on_node or [] if one is not None])
    return None if parts is None else [one for part in parts for one in part]


class Batch(NamedTuple):
    """Iterations timed as one: by the host's clock until all is done, and between two device events."""

    iterations: int
    host_ns: int
    device_ns: int


class Leg(Protocol):
    """Iterations right after the other, over sets of buffers in turn."""

    sets: int  #: iterations of a turn

    def run(self, iterations: int, cells: Table) -> tuple[int, Table]:
        """(what a failing step returned or 0, int64 [iterations, columns] in ns).

        Columns as `measure.columns_of` says: the duration, and where a device has a clock of its
        own, the time that the launch took on the host. All 0 where this rank is not timed.
        """

    def batch(self, iterations: int, cells: Table) -> tuple[int, Batch | None]:
        """(code as above, the iterations as one, None where that would tell nothing more)."""


@dataclasses.dataclass
class Bound:
    """A case ready to be timed on one rank.

    `programs` is int64[sets, steps, STEP_WIDTH], one program for each set of buffers; `waits_at` is
    the row of the first step that waits for what those before it have started, `wait` the steps
    after a program that wait for a device. `flow_clock` knows when each message came, where the
    operation is `flows` and somebody can tell. `barrier` lets the group meet; `settle` is what must be
    done between the last iteration and a look at the results, where others write into this rank's
    memory by themselves; `close` frees requests; `keep` holds what the steps point to.
    """

    programs: Table
    waits_at: int
    barrier: Table
    leg: Leg
    compute: Compute
    close: Callable[[], None]
    keep: list[Any]
    flow_clock: FlowClock | None = None
    wait: Table = dataclasses.field(default_factory=lambda: table([]))
    settle: Table = dataclasses.field(default_factory=lambda: table([]))


class Measuring(Protocol):
    """One case in one round on this rank: compiled loops (`railgauge.measure`), or what a backend brings.

    All ranks of the group call the same methods together. `columns` are those of a chunk's rows,
    `timed` says whether this rank's are kept, `cells` what the watchdog reads; `period_ns` is set by
    the caller once a time is known. Groups of a round return equally many rows for a chunk.
    """

    case: Case
    group: Communicator
    cells: Table
    columns: tuple[str, ...]
    timed: bool
    init_seconds: float | None
    period_ns: int
    flows: npt.NDArray[np.int64]  # arrivals of the last chunk, where they are stamped

    @property
    def backend(self) -> Backend:
        """What made it."""

    def first_call(self) -> npt.NDArray[np.int64]:
        """The group's time of the very first iteration in ns, int64 [1]."""

    def chunk(self, iterations: int) -> npt.NDArray[np.int64]:
        """int64 [n, columns] in ns, n being `iterations` or what one start gives at once."""

    def completion(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Time of each iteration over the whole group in ns, int64 [n], the same on all of its ranks."""

    def faulty(self) -> bool:
        """Has this rank found wrong data?"""

    def wrong(self, place: Place) -> Wrong | None: ...
    def batch(self) -> records.Batch | None: ...
    def overlap(self, pure_seconds: float) -> Overlap: ...
    def close(self) -> None: ...


class Backend(Protocol):
    """One way to move data: a file of `railgauge.backends`."""

    library: str  #: name and version of what moves the data
    memory: Memory

    def check(self, plan: Plan) -> None:
        """Raise UsageError where the library cannot do what the plan asks."""

    def facts(self) -> dict[str, Any]:
        """What this rank's device is, for `environment.json`."""

    def prepare(self) -> None:
        """Compile what programs call; before any measurement, once on every rank."""

    def enter(self, group: Any) -> float | None:
        """Make what a group of a round needs; the seconds it took, None where it needs nothing."""

    def leave(self, group: Any) -> None:
        """Give back what `enter` made."""

    def bind(
        self,
        plan: Plan,
        case: Case,
        facts: GroupFacts,
        group: Any,
        buffers: Buffers,
    ) -> Bound:
        """The programs of a case for this rank."""

    def measurement(self, case: Case, group: Any, cells: Table) -> Measuring | None:
        """What measures the case where a program of its own does; None: the loops do, by `bind`."""

    def choice(self, case: Case) -> Choice | None:
        """What the library chose for the case that ran last, where that can be known."""

    def allowed(self, case: Case) -> Allowed | None:
        """What the hardware allows the case that ran last on this rank, where that is one path."""

    def explain(self, code: int) -> str:
        """What a step's non-zero return value means."""

    def fault(self) -> str:
        """What went wrong behind the back of the calls so far; asked by the watchdog's thread."""

    def abort(self) -> None:
        """Make every call that waits for other ranks return."""

    def close(self) -> None:
        """Leave the library; nothing may be measured afterwards."""


class Plain:
    """What a `Backend` does where there is nothing to do: for those to build on that need less."""

    def enter(self, group: Any) -> float | None:
        del group  # the control plane's communicator serves
        return None

    def leave(self, group: Any) -> None:
        """Nothing was made."""

    def measurement(self, case: Case, group: Any, cells: Table) -> Measuring | None:
        del case, group, cells  # the loops measure
        return None

    def choice(self, case: Case) -> Choice | None:
        del case  # the library does not say
        return None

    def allowed(self, case: Case) -> Allowed | None:
        del case  # a collective takes many paths
        return None

    def fault(self) -> str:
        return ""

    def abort(self) -> None:
        """MPI_Abort is the control plane's."""
