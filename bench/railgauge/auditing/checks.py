"""What a check of a configuration is: how to read a setting, and what is good under a profile.

Checks stand in `railgauge.audits`, one file a subject, as a tuple `CHECKS`. Reading is done on the
node, by the rank that is asked; judging once, from what all have read.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from railgauge import plugins
from railgauge.auditing.machine import Inapplicable, Machine, Unknown
from railgauge.auditing.manifest import EMPTY, ROCE, Manifest
from railgauge.auditing.records import Status
from railgauge.errors import unknown

Odd = Literal["FAIL", "WARN", "INFO"]


class Item(NamedTuple):
    """A value, of what (`where`: a port, a netdev, "" for the node or rank).

    Over nodes, values of one `group` are compared (of all, where that is ""), or their `vote` where
    the value holds more than must be alike.
    """

    where: str
    value: Any
    group: str = ""
    vote: Any = None


class Asked(NamedTuple):
    """What the fabric is meant to be: a profile, its lossless priorities, and a site's manifest."""

    profile: str
    priorities: tuple[int, ...] = (3,)
    manifest: Manifest = EMPTY

    @property
    def lossless(self) -> bool:
        return self.profile == "roce-lossless"

    @property
    def roce(self) -> bool:
        return self.profile in ROCE

    @property
    def rdma(self) -> bool:
        """Is there RDMA at all? Not on machines of which `auto` found no RDMA device."""
        return self.profile != "none"


class Judged(NamedTuple):
    """A status, what was expected, and the words for what was found ("": the value itself)."""

    status: Status
    expected: str = ""
    found: str = ""


def good(expected: str = "", found: str = "") -> Judged:
    return Judged("PASS", expected, found)


def told(expected: str = "", found: str = "") -> Judged:
    """Neither good nor bad: a fact that a reader may need."""
    return Judged("INFO", expected, found)


def outside(reason: str) -> Judged:
    """This profile does not ask."""
    return Judged("NOT APPLICABLE", reason)


def rated(right: bool, bad: Odd, expected: str, found: str = "") -> Judged:
    return Judged("PASS" if right else bad, expected, found)


Reader = Callable[[Machine], Iterable[Item]]


@dataclasses.dataclass(frozen=True)
class Check:
    """`worst` is the status that it may have: one that can FAIL and is unknown leaves the audit open.

    `alike`: what it is when nodes (or devices of one group) differ. `needs_root`: nobody else can read
    it, so that it being unknown does not leave the audit open. `each_rank`: it belongs to the process.
    `{where}` and `{priority}` in the remedy are filled in.
    """

    name: str
    title: str
    read: Reader
    judge: Callable[[Any, Asked], Judged]
    remedy: str
    source: str
    worst: Odd = "FAIL"
    alike: Odd | None = None
    needs_root: bool = False
    each_rank: bool = False
    subject: str = ""


@functools.cache
def all_checks() -> dict[str, Check]:
    """Name -> check, by subject (the file's name) and in the order of the file."""
    made = {}
    for subject in plugins.names(plugins.AUDITS):
        for check in importlib.import_module(f"{plugins.AUDITS}.{subject}").CHECKS:
            made[check.name] = dataclasses.replace(check, subject=subject)
    return made


def checks_named(names: Iterable[str] | None) -> tuple[Check, ...]:
    """The checks of those names, or of subjects of those names; raises UsageError with the closest."""
    every = all_checks()
    if names is None:
        return tuple(every.values())
    subjects = {check.subject for check in every.values()}
    wanted: set[str] = set()
    for name in names:
        if name not in every and name not in subjects:
            raise unknown("check", name, [*sorted(subjects), *every], "railgauge audit --list")
        wanted |= {c.name for c in every.values() if name in (c.name, c.subject)}
    return tuple(check for check in every.values() if check.name in wanted)


def unreadable(error: Exception) -> Unknown:
    """What an error means that a reader did not expect: never a crash, never a value."""
    if isinstance(error, OSError):
        return Unknown(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "))
    if isinstance(error, ValueError):
        return Unknown(str(error))
    return Unknown(f"a defect of railgauge: {error!r}")


def none_of(what: str) -> Iterable[Item]:
    """The one item of a check that has nothing to read."""
    yield Item("", Inapplicable(what))


NO_RDMA = "no RDMA port of a fabric here"
NO_ETHERNET = "no RoCE port here"
NO_NETDEV = "no network device belongs to an RDMA port"
NO_GPU = "no GPU here"


def per_port(
    value: Callable[[Machine, Any], Any], group: Callable[[Any], str] = lambda _: ""
) -> Reader:
    """A reader of every RDMA port of the fabric: `value(machine, port)`."""

    def read(machine: Machine) -> Iterable[Item]:
        items = [Item(p.where, attempt(value, machine, p), group(p)) for p in machine.ports]
        return items or none_of(NO_RDMA)

    return read


def per_netdev(value: Callable[[Machine, str], Any], roce: bool = True) -> Reader:
    """A reader of every network device of the fabric, or of those that carry RoCE."""

    def read(machine: Machine) -> Iterable[Item]:
        devices = [p.netdev for p in machine.ethernet_ports] if roce else machine.netdevs
        items = [Item(device, attempt(value, machine, device)) for device in devices]
        return items or none_of(NO_ETHERNET if roce else NO_NETDEV)

    return read


def per_device(value: Callable[[Machine, str], Any]) -> Reader:
    """A reader of every RDMA device of the fabric."""

    def read(machine: Machine) -> Iterable[Item]:
        items = [Item(d, attempt(value, machine, d)) for d in machine.devices]
        return items or none_of(NO_RDMA)

    return read


def once(value: Callable[[Machine], Any]) -> Reader:
    """A reader of the node, or of the rank, as a whole."""

    def read(machine: Machine) -> Iterable[Item]:
        return (Item("", attempt(value, machine)),)

    return read


def attempt(value: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns, or as an Unknown what it raised: one bad device does not hide the others."""
    try:
        return value(*arguments)
    except Exception as error:
        return unreadable(error)
