"""nvidia-smi: nvlink --status (and --errorcounters), topo -m."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row, decimal, whole

_GPU = re.compile(r"GPU (\d{1,4}): (.*?) \(UUID: (\S+)\)\s*")
_SPEED = r"\s*Link (\d{1,3}): ([\d.]+) GB/s\s*"
_LINK = re.compile(r"\s*Link (\d{1,3}): (.*?)\s*")
_ERROR = re.compile(r"(\w[\w ]*?)(?: Error(?:s)?| Count)?: (\d{1,20})")
_HEAD = re.compile(r"\s*GPU0\b.*")
_NIC = re.compile(r"\s*(NIC\d+): (\S+)\s*")
_COLUMN = re.compile(r"(GPU|NIC|mlx\d_)\w*")
_LEGEND = re.compile(r"\s*(Legend:|NIC Legend:|(X|SYS|NODE|PHB|PXB|PIX|NV#)\s+= .*)\s*")


def recognises(text: str) -> bool:
    return bool(re.search(r"^GPU \d+: .*\(UUID: ", text, re.MULTILINE)) or bool(
        re.search(r"^\s*GPU0\t.*(CPU Affinity|GPU1|NIC0|mlx5_)", text, re.MULTILINE)
    )


def parse(text: str) -> Capture:
    """A row for every GPU with its `links`, or for every GPU and NIC of a topology with its `paths`."""
    draft = Draft(text, whole=_SPEED)
    columns: list[str] = []
    row: Row = {}
    for line in draft.lines:
        shown = line.text.strip()
        if gpu := _GPU.fullmatch(line.text):
            row = {"gpu": int(gpu[1]), "model": gpu[2], "uuid": gpu[3], "links": {}}
            draft.rows.append(row)
        elif row and (link := _LINK.fullmatch(line.text)):
            _link(draft, line.number, int(link[1]), link[2], row)
        elif not columns and _HEAD.fullmatch(line.text):
            columns = [cell.strip() for cell in shown.split("\t")]
        elif nic := _NIC.fullmatch(line.text):
            draft.facts.setdefault("nics", {})[nic[1]] = nic[2]
        elif not shown or shown.startswith(("#", "$")) or _LEGEND.fullmatch(line.text):
            continue
        elif columns and _COLUMN.match(shown):
            _path(draft, line.number, line.text, columns)
        else:
            draft.odd(line.number, f"not understood: {shown[:40]!r}")
    if columns:
        _lacking(draft, columns)
    return draft.done()


def _link(draft: Draft, line: int, number: int, told: str, row: Row) -> None:
    """`25 GB/s`, `<inactive>`, or counters of errors."""
    if told.endswith(" GB/s"):
        row["links"][number] = decimal(told.removesuffix(" GB/s"))
    elif error := _ERROR.fullmatch(told):
        row.setdefault("errors", {}).setdefault(number, {})[error[1].lower()] = whole(error[2])
    elif told == "<inactive>":
        row["links"][number] = None
        row.setdefault("inactive", []).append(number)
    else:
        draft.odd(line, f"link {number}: {told[:40]!r}")


def _path(draft: Draft, line: int, text: str, columns: list[str]) -> None:
    name, *cells = [cell.strip() for cell in text.split("\t")]
    others = [column for column in columns if _COLUMN.fullmatch(column)]
    row: Row = {"name": name, "paths": {}}
    if len(cells) < len(others):
        draft.odd(line, f"{name}: {len(cells)} of {len(others)} paths stand here")
    for column, cell in zip(columns, cells, strict=False):
        if column in others:
            if column != name:
                row["paths"][column] = cell
        elif cell:
            row[column.lower().replace(" ", "_")] = cell
    draft.rows.append(row)


def _lacking(draft: Draft, columns: list[str]) -> None:
    there = {row.get("name") for row in draft.rows}
    lacking = [c for c in columns if _COLUMN.fullmatch(c) and c not in there]
    if lacking:
        draft.odd(0, f"no rows of {', '.join(lacking)}: the table is cut off")
