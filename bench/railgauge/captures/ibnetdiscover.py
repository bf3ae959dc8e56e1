"""ibnetdiscover: the links of an InfiniBand fabric (with -p, or as a topology file).

facts["leaves"] has the hosts that hang on each leaf switch, facts["hosts"] where each of their ports does.
"""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row

#: CA 78 1 0xa1 4x EDR - SW 51 10 0xb1 ( 'host HCA-1' - 'switch' )
_END = (
    r"(?P<{0}type>CA|SW|RT|\?\?)\s+(?P<{0}lid>\d+)\s+(?P<{0}port>\d+) (?P<{0}guid>0x[0-9a-fA-F]+)"
)
_LINK = re.compile(
    rf"{_END.format('')} (?P<width>\S+) (?P<speed>\S+)\s+- {_END.format('peer_')}"
    r" \( '(?P<node>.*?)' - '(?P<peer_node>.*)' \)\s*"
)
_LOOSE = re.compile(rf"{_END.format('')} (?P<width>\S+) (?P<speed>\S+)\s+(?P<node>\S.*?)\s*")
#: Switch 36 "S-00b1" # "name" enhanced port 0 lid 51 lmc 0
_NODE = re.compile(r'(Switch|Ca|Rt)\s+(\d+) "[SHR]-([0-9a-f]+)"\s*#\s*"(.*?)"(?:.* lid (\d+))?.*')
#: [1](a1) "S-00b1"[10] # lid 78 lmc 0 "name" lid 51 4xEDR
_EDGE = re.compile(
    r'\[(\d+)\](?:\[.*?\])?(?:\(\w+\))?\s+"([SHR])-([0-9a-f]+)"\[(\d+)\](?:\(\w+\))?'
    r'\s*(?:#.*?"(.*)".*?(\d+x)(\w+).*)?'
)
_TITLES = re.compile(r"(vendid|devid|sysimgguid|switchguid|caguid|rtguid)=.*")
_TYPES = {"Switch": "SW", "Ca": "CA", "Rt": "RT", "S": "SW", "H": "CA", "R": "RT"}
#: What an adapter adds to its host's name: `node7 HCA-1`, `node7 mlx5_3`.
_ADAPTER = re.compile(r"\s+(HCA-\d+|mlx\d_\d+|hfi1_\d+|ib\d+|[a-z]+\d*_\d+)$")
_NO_HOST = re.compile(r".*(Aggregation Node|Technologies|Mellanox)")


def recognises(text: str) -> bool:
    ports = r"(CA|SW|RT)\s+\d+\s+\d+ 0x[0-9a-f]+ \S+ \S+"
    signs = rf'^({ports}|(Switch|Ca)\s+\d+ "[SH]-[0-9a-f]+"|(switch|ca)guid=0x)'
    return bool(re.search(signs, text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every port that is listed, with the other end of its link where it has one."""
    draft = Draft(text)
    node: Row = {}
    for line in draft.lines:
        shown = line.text.strip()
        if found := _LINK.fullmatch(shown) or _LOOSE.fullmatch(shown):
            draft.rows.append(_row(found.groupdict()))
        elif begun := _NODE.fullmatch(shown):
            node = {"type": _TYPES[begun[1]], "guid": f"0x{begun[3]}", "node": begun[4].strip()}
            node |= {"lid": int(begun[5])} if begun[5] else {}
        elif node and (edge := _EDGE.fullmatch(shown)):
            peer: Row = {"peer_type": _TYPES[edge[2]], "peer_guid": f"0x{edge[3]}"}
            peer |= {"port": int(edge[1]), "peer_port": int(edge[4])}
            peer |= (
                {"peer_node": edge[5].strip(), "width": edge[6], "speed": edge[7]}
                if edge[5]
                else {}
            )
            draft.rows.append(node | peer)
        elif shown and not shown.startswith(("#", "$")) and not _TITLES.fullmatch(shown):
            draft.odd(line.number, f"not a port of a node: {shown[:40]!r}")
    draft.facts |= _topology(draft.rows)
    return draft.done()


def _row(found: dict[str, str]) -> Row:
    made: Row = {}
    for name, value in found.items():
        if name.endswith(("lid", "port")):
            made[name] = int(value)
        elif name.endswith("node"):
            made[name] = value.strip().strip("'").strip()
        else:
            made[name] = None if value == "???" else value
    return made


def host_of(node: str) -> str:
    """`node7 HCA-1` -> `node7`: the host of an adapter's node description."""
    return _ADAPTER.sub("", node.strip())


def _topology(rows: list[Row]) -> Row:
    """Who hangs where: from the links between an adapter and a switch, either end's row."""
    hosts: dict[str, list[Row]] = {}
    switches: dict[str, str] = {}
    leaves: dict[str, dict[str, None]] = {}  # of their hosts, in order
    for row in rows:
        ends = [row, {k.removeprefix("peer_"): v for k, v in row.items() if k.startswith("peer_")}]
        switches |= {e["guid"]: e["node"] for e in ends if e.get("type") == "SW" and "node" in e}
        adapter = next((end for end in ends if end.get("type") == "CA"), None)
        switch = next((end for end in ends if end.get("type") == "SW"), None)
        if not adapter or not switch or "node" not in adapter or _NO_HOST.match(adapter["node"]):
            continue
        port: Row = {"guid": adapter["guid"], "port": adapter.get("port")}
        leaf = switch.get("node", switch["guid"])
        port |= {"leaf": leaf, "leaf_guid": switch["guid"], "leaf_port": switch.get("port")}
        host = host_of(adapter["node"])
        if port not in hosts.setdefault(host, []):
            hosts[host].append(port)
        leaves.setdefault(leaf, {})[host] = None
    below = {leaf: list(inside) for leaf, inside in leaves.items()}
    return {"hosts": hosts, "leaves": below, "switches": switches} if rows else {}
