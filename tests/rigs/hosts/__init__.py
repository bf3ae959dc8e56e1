"""Hosts in miniature: namespaces of this machine, with a management and a fabric network between them.

    with Hosts(4, folder) as hosts:
        hosts.rate("node2", "80mbit")
        hosts.run("node0", ["ping", "-c", "1", "node2-fab"])

Every host has its own network, host name, process numbers, /proc, /sys and /dev/shm; the file system is
shared, as on a cluster. `eth0` (10.78.0.x) is the management network, `fab0` (10.77.0.x) the fabric. The
head is the switch of both (a bridge each, whose ports are named after the hosts) and the login node:
launchers run there and reach the hosts by an agent in ssh's place, which enters the namespaces.

The process numbers of all hosts lie below those of the head, so with the head's first process
everything ends: on leaving `with`, and when the process that made the rig dies in whatever way. The
network of the machine itself is never touched. Needs root, iproute2, util-linux, nftables and ethtool.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

HEAD = "head"
TOOLS = ("ip", "tc", "nft", "ethtool", "nsenter", "unshare")
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
#: Of every host, unless asked otherwise: so slow that two busy CPUs keep up with all of them at once.
RATE, BURST = "200mbit", "32k"
LOSSLESS = "8m"  # a queue that slow start does not fill

#: The first process of a head or a host: $1 its name, $2 its file of hosts. It says which process it is
#: to whoever sees /proc as it stood before, reaps what its host leaves behind (a process that ignores
#: SIGCHLD has no zombies), and ends with its standard input. TCP sends nothing twice that was not lost:
#: no tail loss probes, and Reno, the one algorithm that every kernel has beside its default.
HOLDER = """
set -e
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount --bind "$2" /etc/hosts
hostname "$1"
ip link set lo up
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
echo reno > /proc/sys/net/ipv4/tcp_congestion_control
echo 1 > /proc/sys/net/ipv4/tcp_ecn
echo 0 > /proc/sys/net/ipv4/tcp_early_retrans
echo "$pid"
trap '' CHLD
exec cat
"""
#: In ssh's place: options, host, command.
AGENT = """#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do shift; done
host=$1; shift
exec nsenter --target "$(cat {folder}/"$host")" {namespaces} -- /bin/sh -c "$*"
"""
#: Frames of bulk data alone: a lost acknowledgement shows nowhere, the next one says the same.
BULK = "meta length > 1000"


def lacking() -> str:
    """Why there can be no hosts here; empty where there can. A tool that is missing is an error."""
    if os.geteuid() != 0:
        return "hosts as namespaces need root"
    tried = subprocess.run(
        ["unshare", *NAMESPACES, "--fork", "true"], capture_output=True, text=True, check=False
    )
    return f"no namespaces: {tried.stderr.strip()}" if tried.returncode else ""


class Hosts:
    """`n` hosts node0 ... and their head; `folder` is where the rig keeps its few files."""

    def __init__(self, n: int, folder: Path) -> None:
        missing = [name for name in TOOLS if shutil.which(name) is None]
        assert not missing, (
            f"not installed: {' '.join(missing)}; next: apt-get install iproute2 nftables ethtool"
        )
        self.names = [f"node{k}" for k in range(n)]
        self.agent = folder / "agent"
        self._folder = folder
        self._holders: list[subprocess.Popen[str]] = []
        self._pids: dict[str, str] = {}

    def __enter__(self) -> Hosts:
        try:
            self._up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.down()

    def down(self) -> None:
        """End every process of the hosts and wait until the last one has gone."""
        if head := self._pids.get(HEAD):
            os.kill(int(head), signal.SIGKILL)
            # an nsenter has stopped together with what it runs, and would never see that it ended
            for pid in _running(["nsenter", "--target", head]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for holder in self._holders:
            if head is None:
                holder.kill()
            holder.communicate()
        self._holders.clear()
        self._pids.clear()

    # processes ------------------------------------------------------------------------------------

    def entering(self, host: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` on a host, from outside of the rig."""
        into = ["nsenter", "--target", self._pids[HEAD], *NAMESPACES, "--"]
        if host != HEAD:
            into += ["nsenter", "--target", self._pids[host], *NAMESPACES, "--"]
        return [*into, *argv]

    def run(
        self, host: str, argv: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> str:
        """What a command prints on a host; raises CalledProcessError where it fails."""
        return subprocess.run(
            self.entering(host, argv),
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    # the network ----------------------------------------------------------------------------------

    def rate(self, host: str, rate: str, burst: str = BURST) -> None:
        """Shape both directions of a host's fabric link, without loss."""
        self._shape(host, "fab0", rate, burst, LOSSLESS)
        self._shape(HEAD, host, rate, burst, LOSSLESS)

    def queue(self, host: str, limit: str, rate: str = RATE, burst: str = BURST) -> None:
        """Bytes that the switch port towards a host keeps waiting; what comes on top is dropped."""
        self._shape(HEAD, host, rate, burst, limit)

    def dropped(self, host: str) -> int:
        """Frames that did not fit into the queue of the switch port towards a host."""
        shown = self.run(HEAD, ["tc", "-s", "-j", "qdisc", "show", "dev", host, "root"])
        return sum(int(qdisc["drops"]) for qdisc in json.loads(shown))

    def lose(self, host: str, per_mille: int) -> None:
        """Drop some of the bulk frames that leave the switch towards a host, at random."""
        self._rule(host, "lost", per_mille, "drop")

    def mark(self, host: str, per_mille: int) -> None:
        """Mark some of them as having met congestion (CE) instead: those that are ECN-capable."""
        self._rule(host, "marked", per_mille, "ip ecn set ce", "ip ecn != not-ect")

    def counted(self, host: str, what: str) -> int:
        """How many frames were `lost` or `marked` on the way to a host."""
        listed = json.loads(self.run(HEAD, ["nft", "-j", "list", "counters"]))["nftables"]
        found = [entry["counter"]["packets"] for entry in listed if _named(entry, host, what)]
        return int(found[0])

    def link(self, host: str, up: bool) -> None:
        """Pull or plug the cable between a host's fab0 and the switch."""
        self.run(HEAD, ["ip", "link", "set", host, "up" if up else "down"])

    # how it is built ------------------------------------------------------------------------------

    def _up(self) -> None:
        addresses = [f"10.78.0.{10 + k} {name}" for k, name in enumerate(self.names)]
        addresses += [f"10.77.0.{10 + k} {name}-fab" for k, name in enumerate(self.names)]
        lines = ["127.0.0.1 localhost", f"10.78.0.1 {HEAD}", *addresses]
        (self._folder / "hosts").write_text("\n".join(lines) + "\n")
        script = AGENT.format(folder=self._folder, namespaces=" ".join(NAMESPACES))
        self.agent.write_text(script)
        self.agent.chmod(0o755)
        unshare = ["unshare", *NAMESPACES, "--fork", "--propagation", "private"]
        self._hold([HEAD], unshare)
        bridges = [
            f"ip link add {name} type bridge; ip link set {name} up"
            for name in ("management", "fabric")
        ]
        self._script(HEAD, *bridges, "ip address add 10.78.0.1/24 dev management")
        self._hold(self.names, self.entering(HEAD, unshare))
        for k, name in enumerate(self.names):
            self._plug(name, "eth0", "management", f"m{k}", f"10.78.0.{10 + k}")
            self._plug(name, "fab0", "fabric", name, f"10.77.0.{10 + k}")
            self.rate(name, RATE)

    def _hold(self, names: Sequence[str], unshare: Sequence[str]) -> None:
        """Start the first process of each host, and then wait until each stands."""
        files = str(self._folder / "hosts")
        pipe = subprocess.PIPE
        fresh = [
            subprocess.Popen(
                [*unshare, "sh", "-c", HOLDER, "sh", name, files],
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
            )
            for name in names
        ]
        self._holders += fresh
        for name, holder in zip(names, fresh, strict=True):
            assert holder.stdout is not None
            pid = holder.stdout.readline().strip()
            assert pid, f"{name} did not start: {holder.communicate()[1]}"
            self._pids[name] = pid
            (self._folder / name).write_text(pid)

    def _plug(self, host: str, device: str, bridge: str, port: str, address: str) -> None:
        """A cable from a host's device to a port of a bridge, every frame as it is on a wire."""

        def bare(end: str) -> str:
            one_cpu = f"echo 1 > /sys/class/net/{end}/queues/rx-0/rps_cpus"  # keeps them in order
            return f"ethtool -K {end} tso off gso off gro off; {one_cpu}"

        cable = f"ip link add {port} type veth peer name {device} netns {self._pids[host]}"
        self._script(HEAD, cable, bare(port), f"ip link set {port} master {bridge} up")
        address = f"ip address add {address}/24 dev {device}"
        self._script(host, bare(device), address, f"ip link set {device} up")

    def _script(self, host: str, *lines: str) -> None:
        self.run(host, ["sh", "-ec", "\n".join(lines)])

    def _shape(self, host: str, device: str, rate: str, burst: str, limit: str) -> None:
        words = f"tc qdisc replace dev {device} root tbf rate {rate} burst {burst} limit {limit}"
        self.run(host, words.split())

    def _rule(self, host: str, what: str, per_mille: int, then: str, among: str = "") -> None:
        chosen = f'oifname "{host}" {BULK} {among} numgen random mod 1000 < {per_mille}'
        text = f"""
            add table bridge rig
            add chain bridge rig frames {{ type filter hook forward priority 0; }}
            add counter bridge rig {what}_{host}
            add rule bridge rig frames {chosen} counter name {what}_{host} {then}
        """
        self.run(HEAD, ["nft", text])


def _named(entry: Mapping[str, Any], host: str, what: str) -> bool:
    return "counter" in entry and entry["counter"]["name"] == f"{what}_{host}"


def _running(words: Sequence[str]) -> Iterator[int]:
    """Processes of this machine whose command line begins so."""
    beginning = os.fsencode("\0".join(words) + "\0")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(beginning):
                yield int(path.parent.name)
