"""SuperBench: results-summary.jsonl (a node a line), or the results-summary.json of one node.

Metrics are named `benchmark:annotation/what_size_figure:rank`. What moves data is imported; the many others
are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.matrices import put_pair, put_single
from railgauge_reports.importing.nccl_inference import PROGRAMS
from railgauge_reports.importing.rows import GIGA, MICRO, What
from railgauge_reports.importing.source import NAMED, NOTHING, Source

MARKS = (b"/return_code", b'"nccl-bw', b'"ib-traffic')
TOOL = "SuperBench"
_METRIC = re.compile(r'"[a-z][\w:.-]*/(?:return_code|[\w:.-]+_(?:bw|busbw|time|lat))[\w:.]*"\s*:')
_COLLECTIVE = re.compile(
    r"(?:nccl|rccl)-bw(?::([\w.-]+))?/([a-z]+)(?:_(\d+)_(\d+))?[_:](\d+)_(time|algbw|busbw)(?::\d+)?"
)
_TRAFFIC = re.compile(
    r"ib-traffic(?::([\w.-]+))?/ib_(write|read|send)_(bw|lat)_(\d+)(?:_[a-z_]+?)?_(\d+)_(\d+):(\d+)_(\d+)(?::\d+)?"
)
_COPY = re.compile(
    r"(gpu-copy-bw|mem-bw)(?::([\w.-]+))?/(?:gpu(\d+)_to_gpu(\d+)(\w*)|(h2d|d2h|d2d))_bw(?::(\d+))?"
)
_RETURN = re.compile(r"(.+)/return_code")
_PLAIN = {name.replace("_", ""): name for name in PROGRAMS}
_CALLS = {"h2d": "to_device", "d2h": "from_device", "d2d": "local"}
_REDUCING = ("all_reduce", "reduce_scatter", "reduce")
_ROOTED = ("broadcast", "reduce", "gather", "scatter")
NOMINAL_BYTES = 64 << 20  # of copies, whose size is not in the name of the metric


def looks_like(text: str) -> int:
    return NAMED if text.lstrip()[:1] == "{" and _METRIC.search(text) else NOTHING


def read(source: Source, found: Found) -> None:
    """A run is a node's line; a row is a size, a pair or a copy that was measured."""
    for line, text in _objects(source):
        try:
            node = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            node = None
        if not isinstance(node, dict):
            found.partial(line, "not a whole JSON object")
            found.complete = False
            continue
        run = found.begin(TOOL, line)
        run.told = "the figure that the metric gives"
        run.hosts[0] = str(node.get("node") or "unknown")
        _read_node(run, node, line, found)
        run.complete = True
    found.end()


def _objects(source: Source) -> Iterator[tuple[int, str]]:
    """(line, object): one a line; one object over several lines is one."""
    texts = [(line, text) for line, _, text in source.texts()]
    if len(texts) > 1 and not texts[0][1].rstrip().endswith("}"):
        yield texts[0][0], "\n".join(text for _, text in texts)
    else:
        yield from texts


def _read_node(run: FoundRun, node: Mapping[str, Any], line: int, found: Found) -> None:
    left_out = 0
    collectives: dict[tuple[str, ...], dict[str, float]] = {}
    for name, value in node.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if failed := _RETURN.match(name):
            if value:
                found.warn(line, f"{run.hosts[0]}: {failed[1]} ended with {value}")
        elif met := _COLLECTIVE.fullmatch(name):
            key = tuple(part or "" for part in met.groups()[:5])
            collectives.setdefault(key, {}).setdefault(met[6], float(value))
        elif not (_traffic(run, name, float(value), line) or _copy(run, name, float(value), line)):
            left_out += 1
    for key, figures in collectives.items():
        _collective(run, key, figures, line, found)
    if left_out:
        run.note(
            f"{left_out} metrics that are not of data moved between GPUs or nodes were left out"
        )


def _collective(
    run: FoundRun, key: tuple[str, ...], figures: Mapping[str, float], line: int, found: Found
) -> None:
    annotation, plain, serial, parallel, size = key
    operation = _PLAIN.get(plain, plain)
    variant = annotation
    if serial:
        variant = f"{annotation} round {serial} group {parallel}".strip()
        run.note(
            "rounds and groups of its patterns are numbers: which nodes they were is in its mpi_pattern.txt"
        )
    what = What(
        operation=operation,
        nbytes=int(size),
        dtype="float32",
        op="sum" if operation in _REDUCING else None,
        root=0 if operation in _ROOTED else None,
        call="stream",
        timing="back_to_back",
        variant=variant,
    )
    run.rows += 1
    if figures.get("time"):
        run.put(what, figures["time"], line, MICRO)
    elif figures.get("algbw"):
        run.put(what, figures["algbw"], line, GIGA, rate=True)
    else:
        found.warn(line, f"{operation} of {size} B has neither a time nor an algbw: not kept")


def _traffic(run: FoundRun, name: str, value: float, line: int) -> bool:
    met = _TRAFFIC.fullmatch(name)
    if not met:
        return False
    annotation, verb, kind, size, _, _, server, client = met.groups()
    what = What(
        operation=f"rdma_{verb}_{'latency' if kind == 'lat' else 'bandwidth'}",
        nbytes=int(size),
        count=int(size),
        dtype="uint8",
        call="forth",
        timing="back_to_back",
        variant=annotation or "",
    )
    run.rows += 1
    run.ranks = max(run.ranks or 0, int(server) + 1, int(client) + 1)
    if value > 0 and server != client:
        put_pair(
            run, what, int(client), int(server), value, line, "us" if kind == "lat" else "GB/s"
        )
    return True


def _copy(run: FoundRun, name: str, value: float, line: int) -> bool:
    met = _COPY.fullmatch(name)
    if not met:
        return False
    _, annotation, source, target, rest, kind, rank = met.groups()
    what = What(
        operation="copy",
        nbytes=NOMINAL_BYTES,
        dtype="uint8",
        call=_CALLS.get(kind or "", "pull" if "read" in (rest or "") else "push"),
        timing="back_to_back",
        variant=" ".join(filter(None, (annotation, (rest or "").strip("_").replace("_", " ")))),
    )
    run.rows += 1
    run.note(
        f"the size of a copy is not in its name: {NOMINAL_BYTES >> 20} MiB is assumed; bandwidths do not"
        " depend on it"
    )
    if value > 0 and kind:
        run.ranks = max(run.ranks or 0, int(rank or 0) + 1)
        put_single(run, what, int(rank or 0), value, line, "GB/s")
    elif value > 0 and source != target:
        run.ranks = max(run.ranks or 0, int(source) + 1, int(target) + 1)
        put_pair(run, what, int(source), int(target), value, line, "GB/s")
    return True
