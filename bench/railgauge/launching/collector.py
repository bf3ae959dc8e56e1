"""Puts together what the ranks of a job that makes no progress say: who is behind, who is silent.

The collector is the parent where railgauge launched the ranks, otherwise rank 0 (and a deputy).
Ranks speak in datagrams (`Beat`) and hear words; see `railgauge.launching.watchdog` for their side.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Iterable
from typing import Literal

import msgspec

from railgauge.rank_lists import encode_ranks

GRACE_SECONDS = 1.0  # for answers
NAMED_RANKS = 8  # of those accused, the first ones are listed with host and pid
NEXT = "railgauge run --resume with the same options measures what is missing"

Kind = Literal["hello", "joined", "phase", "stalled", "busy", "resumed", "here", "failed", "bye"]
Word = Literal["where", "wait", "stop"]

#: Where a rank's main thread is, if not in a `module.function` of ours.
IN_LOOP, IN_AGREEMENT, IN_LOAD, BUSY = "loop", "agreement", "load", "busy"
_NOT_TOLD = (IN_LOOP, IN_AGREEMENT, IN_LOAD, "")


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """What a rank tells the collector; `step` counts its phases, `iteration` the phase's iterations.

    A `failed` beat carries the error's text as its phase, and its exit code. `state` is the main
    thread's in proc(5): R runs (or polls), S sleeps, D waits for a device; `idle` are the seconds
    since the rank's last progress. `lost`: its host's links that have lost their carrier since it began.
    """

    key: str
    kind: Kind
    rank: int
    pid: int
    host: str
    step: int = 0
    phase: str = ""
    iteration: int = 0
    where: str = ""
    state: str = ""
    idle: float = 0.0
    exit_code: int = 0
    lost: str = ""


class Collector:
    """Receives beats on a UDP port and judges a stall from them."""

    def __init__(self, ranks: int, timeout: float, host: str = "127.0.0.1") -> None:
        self.ranks, self.timeout, self.host = ranks, timeout, host
        self.key = secrets.token_hex(8)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((host if host == "127.0.0.1" else "", 0))
        self.socket.setblocking(False)
        self.next = NEXT
        self.beats: dict[int, Beat] = {}  # the last word of each rank about being there
        self.places: dict[int, Beat] = {}  # where it is
        self._known: dict[int, Beat] = {}  # where it was when it last said so
        self.addresses: dict[int, tuple[str, int]] = {}
        self.stalled: set[int] = set()
        self.failed: Beat | None = None
        self.begin = time.monotonic()
        self._asked_at: float | None = None
        self._busy_until = self._last_bye = 0.0

    @property
    def address(self) -> str:
        """`host:port/key` for the ranks."""
        return f"{self.host}:{self.socket.getsockname()[1]}/{self.key}"

    def close(self) -> None:
        """Hear nothing any more."""
        self.socket.close()

    def drain(self) -> list[Beat]:
        """Take in what has arrived; returns it."""
        fresh: list[Beat] = []
        while True:
            try:
                data, sender = self.socket.recvfrom(1 << 16)
                beat = msgspec.json.decode(data, type=Beat)
            except BlockingIOError:
                return fresh
            except (OSError, msgspec.DecodeError):
                continue
            if beat.key == self.key:
                fresh.append(beat)
                self.addresses[beat.rank] = sender
                self.take(beat)

    def take(self, beat: Beat) -> None:
        """Note what a rank says."""
        now = time.monotonic()
        if beat.kind in ("hello", "joined", "bye"):
            self.beats[beat.rank] = beat
        elif beat.kind == "failed":
            self.failed = self.failed or beat
        else:
            self.places[beat.rank] = self._known[beat.rank] = beat
        if beat.kind == "bye":
            self._last_bye = now
        # one rank may sit a round out or have compiled nothing: the job goes on while others do
        if beat.kind == "busy" or (beat.kind == "here" and beat.idle < self.timeout / 2):
            self._busy_until = now + 2 * GRACE_SECONDS
        elif beat.kind == "stalled":
            self.stalled.add(beat.rank)
        elif beat.kind in ("resumed", "bye"):
            self.stalled.discard(beat.rank)

    def tell(self, ranks: Iterable[int], word: Word) -> None:
        """Say a word to those ranks whose address is known."""
        for rank in ranks:
            if rank in self.addresses:
                with contextlib.suppress(OSError):
                    self.socket.sendto(f"{self.key} {word}".encode(), self.addresses[rank])

    def ask(self, ranks: Iterable[int]) -> None:
        """Have those ranks say where they are; what they said before is forgotten."""
        for rank in ranks:
            self.places.pop(rank, None)
        self.tell(ranks, "where")

    def left(self, rank: int) -> bool:
        """Has the rank said that it is done, or why it ends?"""
        return self.beats[rank].kind == "bye" or self.failed is not None

    @property
    def all_gone(self) -> bool:
        """Have all ranks said that they are done?"""
        return sum(beat.kind == "bye" for beat in self.beats.values()) == self.ranks

    def all_gone_for(self, seconds: float) -> bool:
        """Has the last rank said so that long ago?"""
        return self.all_gone and time.monotonic() - self._last_bye > seconds

    def verdict(self) -> str | None:
        """The finished accusation, None while there is none (or answers are still coming in)."""
        now = time.monotonic()
        missing = [r for r in range(self.ranks) if r not in self.beats]
        early = [r for r, b in self.beats.items() if b.kind == "hello"]
        late = now > max(self.begin + self.timeout, self._busy_until)
        if late and (missing or early):
            return self._not_started(missing, early)
        if self.stalled and now < self._busy_until:
            self.tell(self.stalled, "wait")
            self.stalled.clear()
        if not self.stalled:
            self._asked_at = None
            return None
        if self._asked_at is None:
            self._asked_at = now
            self.ask(set(range(self.ranks)) - self.stalled)
        if len(self.places) < self.ranks and now - self._asked_at < GRACE_SECONDS:
            return None
        return self.accuse(f"no progress for {self.timeout:g} s")

    def silent(self) -> list[Beat]:
        """The ranks that did not say where they are, as far as they ever said anything."""
        return [b for r, b in self.beats.items() if r not in self.places]

    # sentences ----------------------------------------------------------------------------------

    def _not_started(self, missing: list[int], early: list[int]) -> str:
        absent = f"{len(missing)} of {self.ranks} ranks did not arrive"
        lines = [f"no start within {self.timeout:g} s: {absent}"]
        if missing:
            lines[0] += f": {encode_ranks(missing)}"
        if early:
            lines += [f"  in MPI_Init: {_ranks(early)}", *self._named(early)]
        return "\n".join([*lines, "  next: look at the missing ranks' hosts, or raise --timeout"])

    def accuse(self, what: str) -> str:
        """`what` happened, in which case and iteration, and every rank that can be blamed for it."""
        lead = self._lead()
        if lead is None:
            return f"{what}\n  next: {self.next}"
        here = [b for _, b in sorted(self.places.items()) if b.step == lead.step]
        looping = [b for b in here if b.where == IN_LOOP]
        most = max((b.iteration for b in looping), default=lead.iteration)
        blamed: dict[str, list[int]] = {
            "did not answer (stopped or dead)": [
                r for r in range(self.ranks) if r not in self.places
            ],
            "did not arrive": [r for r, b in sorted(self.places.items()) if b.step < lead.step],
            "did something else": [b.rank for b in here if b.where not in _NOT_TOLD],
            "did not arrive at this iteration": [b.rank for b in looping if b.iteration < most],
        }
        lines = [f"{what} in {lead.phase}, iteration {most}"]
        for word, ranks in blamed.items():
            if ranks:
                lines += [f"  {word}: {_ranks(ranks)}", *self._named(ranks)]
        if not any(blamed.values()):
            loading = [b for b in here if b.where == IN_LOAD]  # endless where others do not come
            lines += self._all_entered(looping or loading, "operation" if looping else "load")
        return "\n".join([*lines, *self._lost_links(), f"  next: {self.next}"])

    def _lost_links(self) -> list[str]:
        """Whatever the ranks wait for: hosts whose links went since the run began."""
        lost = {beat.host: beat.lost for _, beat in sorted(self.places.items()) if beat.lost}
        if not lost:
            return []
        hosts = [f"    host {host}: {links}" for host, links in list(lost.items())[:NAMED_RANKS]]
        return [f"  {len(lost)} host(s) lost links since the run began:", *hosts]

    def mourn(self, ranks: list[int]) -> str:
        """That ranks died, and what the others were doing."""
        lead = self._lead() or max(self._known.values(), key=lambda b: b.step, default=None)
        where = f" in {lead.phase}" if lead else ""
        where += f", iteration {lead.iteration}" if lead and self.places else ""
        dead = [self.beats[rank] for rank in sorted(ranks)[:NAMED_RANKS]]
        named = ", ".join(f"rank {b.rank} on {b.host} (pid {b.pid})" for b in dead)
        return (
            f"{named} died{where}\n"
            "  expected: every rank to leave together with the others\n"
            "  next: look there for a signal or the out-of-memory killer (dmesg), then\n"
            f"    {self.next}"
        )

    def _lead(self) -> Beat | None:
        return max(self.places.values(), key=lambda b: (b.step, b.iteration), default=None)

    def _all_entered(self, looping: list[Beat], what: str) -> list[str]:
        """No rank is behind: who is inside the operation, and who of them does not even poll."""
        inside = [b.rank for b in looping]
        if not inside:
            return ["  all ranks wait for each other between two chunks, and that does not end"]
        everybody = "all ranks" if len(inside) == self.ranks else _ranks(inside)
        lines = [f"  {everybody} entered the {what}, and it does not return"]
        asleep = [b.rank for b in looping if b.state in ("S", "D")]
        if asleep and len(asleep) < len(inside):
            lines += [f"  asleep in it while the others poll: {_ranks(asleep)}"]
        return [*lines, *self._named(asleep or inside)]

    def _named(self, ranks: list[int]) -> list[str]:
        known = self.beats | self.places
        return [
            f"    rank {r}: host {known[r].host}, pid {known[r].pid}"
            + (f", in {known[r].phase}" if r in self.places or known[r].kind == "hello" else "")
            + (f" ({known[r].where})" if known[r].where not in _NOT_TOLD else "")
            for r in ranks[:NAMED_RANKS]
            if r in known
        ]


def _ranks(ranks: list[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {encode_ranks(sorted(ranks))}"
