"""Leaves as they are found, one after the other: every host on one of them, every leaf once."""

from __future__ import annotations

from railgauge.errors import UsageError
from railgauge.host_lists import MOST_HOSTS, hosts_in
from railgauge.topology import Leaves


class Gathered:
    """`add` raises UsageError that begins with `where` the leaf was found."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, ...]] = {}
        self._leaf_by_host: dict[str, str] = {}

    def add(self, name: str, hosts: str, where: str) -> None:
        """A leaf and its list of hosts as text; one without hosts is none."""
        own = []
        for host in hosts_in(hosts, where):
            if host in self._leaf_by_host or name in self._found:
                on = self._leaf_by_host.get(host, name)
                raise UsageError(
                    f"{where}: {host} hangs on {on} already.\n"
                    "  expected: every host once, every leaf in one place"
                )
            self._leaf_by_host[host] = name
            own.append(host)
            if len(self._leaf_by_host) > MOST_HOSTS:
                raise UsageError(f"{where}: more than {MOST_HOSTS} hosts in all")
        if own:
            self._found[name] = tuple(own)

    def leaves(self) -> Leaves:
        """In the order in which they were found."""
        return tuple(self._found.items())
