"""The pause ratio beside every bandwidth: the worst of a host, by case and round."""

from __future__ import annotations

from railgauge_reports.counters import counter_frame
from railgauge_reports.lossless import pause
from railgauge_reports.lossless.evidence import Port
from railgauge_reports.lossless.recorded import ports_of
from railgauge_reports.stored import StoredRun

#: (case, round, host) -> (ratio, is it an upper bound); a host without pause counters is not there.
Pauses = dict[tuple[int, int, str], tuple[float, bool]]


def pauses_of(stored: StoredRun) -> Pauses:
    """The largest pause ratio of every host in every measurement; 0 where pauses are counted and none was."""
    if not any(made.result.counted for made in stored.results):
        return {}
    wanted = frozenset(pause.EVENTS)
    ports = [port for node in stored.nodes for port in ports_of(node, {}, 1.0, False, wanted)]
    counting = {port.host for port in ports if pause.of_port(port)}
    found: Pauses = {}
    for made in stored.results:
        for counted in made.result.counted:
            host = made.start.run.hosts[counted.node]
            if host in counting:
                found[made.result.case.index, made.result.round, host] = (0.0, False)
    counted_of = counter_frame(stored, pause.EVENTS) if found else None
    if counted_of is None or counted_of.empty:
        return found
    frame = pause.ratios(counted_of, _rates(ports))
    for row in frame.to_dict("records"):
        key = (int(row["case"]), int(row["round"]), str(row["host"]))
        ratio = (float(row["pause_ratio"]), bool(row["bound"]))
        found[key] = max(found.get(key, ratio), ratio)
    return found


def _rates(ports: list[Port]) -> dict[tuple[str, str], float]:
    """(host, network device) -> the line's rate in Gb/s."""
    return {(port.host, port.netdev): rate for port in ports if (rate := port.rate_Gbps)}
