"""The document that nccl-tests writes with -J (2.17.3 on), rccl-tests with -Z json; also a torn one.

The program is named in `args[0]` alone, of each process only the first device is listed, and the whole
environment is in it: nothing of that is kept (facts of src/util.cu, writeDeviceReport).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from railgauge_reports.importing import nccl_inference as inference
from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.nccl_identity import REDUCTIONS, identify
from railgauge_reports.importing.nccl_inference import Evidence
from railgauge_reports.importing.rows import MICRO, What, dtype_of, itemsize
from railgauge_reports.importing.source import Source

_PLACES = (("out", "out_of_place"), ("in", "in_place"))


def looks_like(text: str) -> bool:
    """Whether a text is the beginning of such a document."""
    head = text.lstrip()[:1]
    return head == "{" and '"nccl_version"' in text and '"config"' in text


def read(tool: str, source: Source, found: Found) -> None:
    """One run; what cannot be read of it is a partial row."""
    document, whole = source.document()
    torn = 0
    if not whole:
        document, torn = _salvaged(str(document))
    run = found.begin(tool, 1)
    config = _mapping(document.get("config"))
    run.iterations, run.warmup = _int(config.get("iterations")), _int(config.get("warmup_iters"))
    run.facts["nccl_version"] = document.get("nccl_version")
    for device in config.get("devices") or ():
        device = _mapping(device)
        if (rank := _int(device.get("rank"))) is not None:
            run.hosts[rank] = str(device.get("hostname") or "unknown")
            run.devices[rank] = str(device.get("device_info") or "")
    rows = document.get("results")
    unchecked, evidence = _rows(run, rows if isinstance(rows, list) else [], found)
    if torn:
        found.partial(0, "the document ends within a result")
    bounds = _mapping(document.get("out_of_bounds"))
    run.out_of_bounds = _int(bounds.get("count")) or 0
    for error in document.get("errors") or ():
        found.warn(0, f"error: {error}")
    run.complete = whole and bool(document.get("end_time") or document.get("average_bus_bandwidth"))
    arguments = document.get("args") or [""]
    program = inference.program_in(str(arguments[0])) if isinstance(arguments, list) else None
    identify(run, program, _listed(run, config), unchecked, evidence, found)
    found.end()


def _listed(run: FoundRun, config: Mapping[str, Any]) -> int:
    """Ranks: of each process only the first device is listed, the others are on the same host."""
    each = (_int(config.get("nthreads")) or 1) * (_int(config.get("ngpus")) or 1)
    for rank, host in list(run.hosts.items()):
        for more in range(rank + 1, rank + each):
            run.hosts.setdefault(more, host)
    return max(run.hosts, default=-1) + 1


def _rows(run: FoundRun, rows: list[Any], found: Found) -> tuple[bool, list[Evidence]]:
    unchecked, evidence = False, []
    for index, row in enumerate(map(_mapping, rows)):
        size, count, kind = _int(row.get("size")), _int(row.get("count")), row.get("type")
        if size is None or not isinstance(kind, str):
            found.partial(0, f"result {index} has no size or no type")
            continue
        run.rows += 1
        dtype = dtype_of(kind)
        op, root = str(row.get("redop") or "none").strip(), _int(row.get("root"))
        states = []
        for placement, name in _PLACES:
            values = _mapping(row.get(name))
            time = _float(values.get("time", values.get("cpu_time")))
            if time is None:
                continue
            what = What(
                operation="",
                nbytes=size,
                count=count or 0,
                dtype=dtype,
                op=None if op == "none" else REDUCTIONS.get(op, op),
                root=root if root is not None and root >= 0 else None,
                placement=placement,  # type: ignore[arg-type]
                call="stream",
                timing="back_to_back",
            )
            each = _iterations(row.get(f"{name}_per_iter"))
            for value in each or [time]:
                series = run.put(what, value, 0, MICRO)
            if each:
                run.note("times are of single iterations (-I), each the slowest rank's")
            wrong = _int(values.get("nwrong"))
            series.check(wrong)
            states.append(wrong)
            bandwidths = values.get("alg_bw"), values.get("bus_bw")
            if size and None not in map(_float, bandwidths):
                block = (count or 0) * itemsize(dtype)
                evidence.append(Evidence(size, block, time * MICRO, *map(_text, bandwidths)))
        unchecked |= len(states) == 2 and states[0] is not None and states[1] is None
    return unchecked, evidence


def _iterations(facts: Any) -> list[float]:
    """Times of single iterations of `-I`, empty where there are none or one is odd."""
    times = _mapping(facts).get("times_us")
    made = [_float(value) for value in times] if isinstance(times, list) else []
    return [] if None in made else [value for value in made if value is not None]


def _salvaged(text: str) -> tuple[dict[str, Any], int]:
    """What a document holds that breaks off: its parts up to there, and whether a result was torn."""
    decoder, found = json.JSONDecoder(strict=False), {}
    for name in ("args", "nccl_version", "config", "out_of_bounds", "average_bus_bandwidth"):
        at = text.find(f'"{name}"')
        if at >= 0:
            try:
                found[name], _ = decoder.raw_decode(
                    text, text.index(":", at) + 1 + _blanks(text, at)
                )
            except (ValueError, RecursionError):
                continue
    at = text.find('"results"')
    results = list(_whole_objects(decoder, text, text.find("[", at) + 1)) if at >= 0 else []
    found["results"] = results
    return found, 1


def _blanks(text: str, at: int) -> int:
    begin = text.index(":", at) + 1
    return len(text) - begin - len(text[begin:].lstrip())


def _whole_objects(decoder: json.JSONDecoder, text: str, at: int) -> Iterator[Any]:
    while 0 < at < len(text):
        at = text.find("{", at)
        if at < 0:
            return
        try:
            made, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield made


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _float(value: Any) -> float | None:
    try:
        made = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return made if 0 <= made < float("inf") else None


def _int(value: Any) -> int | None:
    try:
        return int(str(value).strip()) if value is not None else None
    except ValueError:
        made = _float(value)
        return None if made is None else int(made)


def _text(value: Any) -> str:
    return f"{float(value):.6g}"
