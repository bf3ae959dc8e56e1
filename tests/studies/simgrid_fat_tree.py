"""Plays flows on a fat tree in SimGrid 3.32: a case as JSON on stdin, the answer on stdout.

Needs nothing but SimGrid's Python bindings, as Debian's own interpreter has them (python3-simgrid).
Case: `down`, `up`, `count`; `GBps` of a link; `flows` [source, target, bytes]; `slow` [flow, hop,
share]: links of routes whose rate is that share. Answer: `version`; `seconds`, when each flow ended;
`routes`, the names of the links that it took.
"""

import json
import sys

import simgrid

#: Fluid max-min sharing without what SimGrid adds for TCP: its protocol overhead, its window, its ACKs.
SETTINGS = (
    "network/model:CM02",
    "network/TCP-gamma:0",
    "network/weight-S:0",
    "network/bandwidth-factor:1",
    "network/latency-factor:1",
    "network/crosstraffic:0",
)


def play(case: dict) -> dict:
    """All flows begin together; latencies are 0, with which SimGrid's sharing is max-min fair."""
    engine = simgrid.Engine(
        ["fat_tree", "--log=root.thres:critical", *(f"--cfg={setting}" for setting in SETTINGS)]
    )
    hosts = {}

    def host(zone, _coordinates, number):
        hosts[number] = zone.create_host(f"host{number}", 1e9)
        hosts[number].seal()
        return hosts[number].netpoint, None

    down, up, count = case["down"], case["up"], case["count"]
    simgrid.NetZone.create_fatTree_zone(
        "tree",
        simgrid.NetZone.create_full_zone("root"),
        simgrid.FatTreeParams(len(down), down, up, count),
        simgrid.ClusterCallbacks(host, None, None),
        case["GBps"] * 1e9,
        0.0,
        simgrid.Link.SharingPolicy.SPLITDUPLEX,
    ).seal()
    routes = [hosts[a].route_to(hosts[b])[0] if a != b else [] for a, b, _ in case["flows"]]
    for flow, hop, share in case["slow"]:
        routes[flow][hop].set_bandwidth(case["GBps"] * 1e9 * share)
    seconds = []

    def send():
        flows = [simgrid.Comm.sendto_async(hosts[a], hosts[b], n) for a, b, n in case["flows"]]
        simgrid.Comm.wait_all(flows)
        seconds.extend(flow.finish_time for flow in flows)

    simgrid.Actor.create("sender", hosts[0], send)
    engine.run()
    return {
        "version": simgrid.simgrid_version,
        "seconds": seconds,
        "routes": [[link.name for link in route] for route in routes],
    }


if __name__ == "__main__":
    json.dump(play(json.load(sys.stdin)), sys.stdout)
