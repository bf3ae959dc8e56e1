"""The rig itself: hosts that are apart, beside each other, and gone without a trace."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RAILGAUGE = [sys.executable, "-m", "railgauge"]


def traces(folder):
    """Processes and mounts of this machine that name the folder."""
    named = [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in words and path.parent.name != str(os.getpid()):
            named.append(words.decode(errors="replace"))
    return named


def until(what):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def devices_here():
    return sorted(os.listdir("/sys/class/net"))


def counters(hosts, host):
    """(name, devices) as `railgauge counters` sees them on a host."""
    shown = json.loads(hosts.run(host, [*RAILGAUGE, "counters", "--json"]))
    places = [reading["place"] for reading in shown["readings"]]
    return sorted({p["device"] for p in places if p["source"] == "netdev"})


def test_every_host_has_its_own_name_devices_processes_and_memory(hosts_of):
    hosts = hosts_of(2)
    for name in hosts.names:
        hosts.run(name, ["touch", f"/dev/shm/{name}"])
    for name in hosts.names:
        assert hosts.run(name, ["hostname"]).strip() == name
        assert hosts.run(name, ["ls", "/sys/class/net"]).split() == ["eth0", "fab0", "lo"]
        assert hosts.run(name, ["ls", "/dev/shm"]).split() == [name]
        first, *rest = hosts.run(name, ["sh", "-c", "cd /proc; echo [0-9]*"]).split()
        assert first == "1"
        assert len(rest) <= 2
    assert not Path("/dev/shm/node0").exists()


def test_railgauge_counters_on_a_host_sees_that_hosts_devices_alone(hosts_of):
    hosts = hosts_of(2)
    here = devices_here()
    assert counters(hosts, "node0") == counters(hosts, "node1") == ["eth0", "fab0"]
    seen = [hosts.run(n, ["cat", "/sys/class/net/fab0/address"]) for n in hosts.names]
    assert seen[0] != seen[1]
    assert devices_here() == here


def test_the_networks_are_two_and_the_agent_comes_in_without_ssh(hosts_of):
    hosts = hosts_of(2)
    come = [str(hosts.agent), "-x", "node1", "hostname", ";", "echo", "$0 'a  b'"]
    assert hosts.run("head", come).splitlines() == ["node1", "/bin/sh a  b"]
    before = received(hosts, "node1")
    for address, device in (("10.78.0.11", "eth0"), ("10.77.0.11", "fab0")):
        probe = f"import socket as s; s.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b'x' * 900, ('{address}', 9))"
        hosts.run("node0", [sys.executable, "-c", probe])
        after = received(hosts, "node1")
        grown = [name for name in after if after[name] - before[name] > 900]
        assert grown == [device]
        before = after


def received(hosts, host):
    """device -> bytes received."""
    show = 'for d in eth0 fab0; do cat "/sys/class/net/$d/statistics/rx_bytes"; done'
    return dict(
        zip(("eth0", "fab0"), map(int, hosts.run(host, ["sh", "-c", show]).split()), strict=True)
    )


def test_rigs_side_by_side_do_not_meet(hosts_of):
    first, second = hosts_of(2), hosts_of(2)
    first.link("node1", up=False)
    carrier = ["cat", "/sys/class/net/fab0/carrier"]
    assert first.run("node1", carrier).strip() == "0"
    assert second.run("node1", carrier).strip() == "1"
    first.down()
    assert second.run("node1", carrier).strip() == "1"


def test_nothing_is_left_of_hosts_whose_processes_run_or_stand_still(hosts_of, tmp_path):
    hosts = hosts_of(2)
    sleeper = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)", tmp_path]
    running = [
        subprocess.Popen(hosts.entering(name, map(str, sleeper)), stdout=subprocess.PIPE)
        for name in hosts.names
    ]
    for process in running:
        process.stdout.read(1)
    hosts.run("node1", ["sh", "-c", "kill -STOP -1"])
    assert traces(tmp_path)
    hosts.down()
    for process in running:
        assert process.wait(60) != 0
        process.stdout.close()
    assert traces(tmp_path) == []


def test_hosts_end_with_the_process_that_made_them(rig_of_hosts, tmp_path):
    source = Path(rig_of_hosts.__file__).parent.parent
    script = (
        "import pathlib, sys, time; sys.path.insert(0, sys.argv[1]); from hosts import Hosts\n"
        "with Hosts(2, pathlib.Path(sys.argv[2])): print('up', flush=True); time.sleep(600)\n"
    )
    maker = subprocess.Popen(
        [sys.executable, "-Bc", script, str(source), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert maker.stdout.readline() == b"up\n"
    maker.send_signal(signal.SIGKILL)
    maker.wait(60)
    maker.stdout.close()
    until(lambda: not traces(tmp_path))


def test_a_tool_that_is_missing_is_named(rig_of_hosts, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else name)
    with pytest.raises(AssertionError, match="not installed: nft; next: apt-get install"):
        rig_of_hosts.Hosts(2, tmp_path)
