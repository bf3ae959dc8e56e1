"""rccl-tests: as nccl-tests prints, on AMD's GPUs; and its files of -Z json or csv.

A file has a row for each placement. Its columns were read as they are named, in any order: the layout
changed between versions (rccl-tests pull requests 93, 140 and 145).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from railgauge_reports.importers import nccl_tests
from railgauge_reports.importing import nccl_json
from railgauge_reports.importing.found import Found
from railgauge_reports.importing.nccl_identity import REDUCTIONS, identify
from railgauge_reports.importing.nccl_inference import Evidence, program_in
from railgauge_reports.importing.rows import MICRO, What, dtype_of, itemsize, number, whole
from railgauge_reports.importing.source import NAMED, NOTHING, Source

MARKS = (b"rccl-tests version", b"rccl-headers")
_NAMED = re.compile(
    r"rccl-tests version|librccl|\[0x?[0-9a-f:.]+\] AMD |Instinct MI\d|NCCL INFO RCCL version"
)
_COLUMNS = frozenset({"size", "type", "time", "algbw", "busbw"})
#: Columns under other names.
_SAME = {
    "collective": "name",
    "operation": "name",
    "nranks": "ranks",
    "datatype": "type",
    "inplace": "placement",
    "timeus": "time",
    "nwrong": "wrong",
    "numwrong": "wrong",
    "errors": "wrong",
}


def looks_like(text: str) -> int:
    plain = text.lstrip()
    titles = plain.lstrip("# ").partition("\n")[0].split(",")
    keys = re.findall(r'"(\w+)"\s*:', text[:4096]) if plain[:1] in ("[", "{") else []
    if nccl_json.looks_like(text):  # the document of -J has such keys too
        keys = []
    if _columns(titles) >= _COLUMNS or _columns(keys) >= _COLUMNS:
        return NAMED
    return NAMED if nccl_tests.looks_like(text) and _NAMED.search(text) else NOTHING


def read(source: Source, found: Found) -> None:
    first = source.text.lstrip("# ").partition("\n")[0]
    if _columns(first.split(",")) >= _COLUMNS:
        _read_rows(_csv_rows(source, found), found)
    elif source.is_json and '"config"' not in source.text:
        _read_rows(_json_rows(source, found), found)
    else:
        nccl_tests.read_as("rccl-tests", source, found)


def _plain(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", re.sub(r"\(.*?\)", "", name.lower()))
    return _SAME.get(plain, plain)


def _columns(names: Sequence[str]) -> set[str]:
    return {_plain(name) for name in names}


def _csv_rows(source: Source, found: Found) -> Iterator[tuple[int, Mapping[str, Any]]]:
    head: list[str] = []
    for line, _, text in source.texts():
        try:
            (cells,) = csv.reader([text.lstrip("# ")])
        except (csv.Error, ValueError) as error:
            found.warn(line, str(error))
            continue
        if not head:
            head = [_plain(cell) for cell in cells]
        elif len(cells) != len(head):
            found.partial(line, f"{len(cells)} cells under {len(head)} titles")
        else:
            yield line, dict(zip(head, (cell.strip() for cell in cells), strict=True))


def _json_rows(source: Source, found: Found) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Of a list of rows, or of one row a line."""
    document, is_whole = source.document()
    if not is_whole:
        for line, _, text in source.texts():
            plain = text.strip().strip("[],")
            if not plain:
                continue
            try:
                row = msgspec.json.decode(plain)
            except msgspec.DecodeError:
                found.partial(line, "not a JSON object")
                continue
            if isinstance(row, dict):
                yield line, {_plain(name): value for name, value in row.items()}
        return
    rows = document if isinstance(document, list) else [document]
    for row in rows:
        if isinstance(row, dict):
            yield 0, {_plain(name): value for name, value in row.items()}


def _read_rows(rows: Iterator[tuple[int, Mapping[str, Any]]], found: Found) -> None:
    run = found.begin("rccl-tests", 1)
    evidence: list[Evidence] = []
    program, ranks = None, 0
    for line, row in rows:
        size, time = whole(str(row.get("size"))), number(str(row.get("time")))
        if size is None or time is None:
            found.partial(line, "a row without a size or a time")
            continue
        run.rows += 1
        program = (
            program or program_in(f"{row.get('name')}_perf") or program_in(str(row.get("name")))
        )
        ranks = max(ranks, whole(str(row.get("ranks"))) or 0)
        dtype, op = dtype_of(str(row["type"])), str(row.get("redop") or "none")
        what = What(
            operation="",
            nbytes=size,
            count=whole(str(row.get("count"))) or 0,
            dtype=dtype,
            op=None if op == "none" else REDUCTIONS.get(op, op),
            root=whole(str(row.get("root"))),
            placement="in" if str(row.get("placement")).lower() in ("1", "true", "in") else "out",
            call="stream",
            timing="back_to_back",
        )
        wrong = number(str(row.get("wrong")))
        run.put(what, time, line, MICRO).check(None if wrong is None else int(wrong))
        bandwidths = str(row.get("algbw")), str(row.get("busbw"))
        if size and None not in map(number, bandwidths):
            evidence.append(Evidence(size, what.count * itemsize(dtype), time * MICRO, *bandwidths))
    run.complete = not run.partial_rows and bool(run.rows)
    identify(run, program, ranks, False, evidence, found)
    found.end()
