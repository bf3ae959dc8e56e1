"""What a person sees while a run goes on."""

from __future__ import annotations

import re

import msgspec
import pytest

from railgauge.plan import Plan, cases
from railgauge.records import FORMAT, End, Gap, Record, Run
from railgauge.terminal import TERMINAL, Printer

BEGIN = Run(
    format=FORMAT,
    version="7.1",
    plan_sha256="",
    started=0.0,
    ranks=2,
    hosts=("n0", "n1"),
    nodes=((0, 1), (1, 1)),
    backend="mpi",
    library="Some MPI 9",
    thread_level="single",
    init_seconds=0.5,
    communicator_seconds=12e-6,
    stamp_nanoseconds=23.4,
    clock_uncertainty_ns=0,
    todo=3,
)
GAP = Gap(case=cases(Plan(ranks=2))[0], round=0, reason="no room")
END = End(verdict="INCONCLUSIVE", exit_code=6, finished=1.0)


def heard(*records: Record) -> list[str]:
    said: list[str] = []
    printer = Printer(table=True, say=said.append)
    for record in records:
        printer.tell(record)
    return said


def test_a_run_introduces_itself_and_names_what_it_leaves_out():
    assert heard(BEGIN, GAP, END) == [
        (
            "Some MPI 9, thread level single, 2 ranks on 2 host(s); MPI_Init 0.500 s,"
            " MPI_Comm_dup 12 us, clock reading 23 ns"
        ),
        "not measured: all_reduce float32 sum 8 B out blocking: no room",
    ]


def test_where_ranks_share_a_gpu_that_is_said_at_the_beginning():
    (_, said) = heard(msgspec.structs.replace(BEGIN, functional=True))
    assert said.startswith("functional: ranks share a GPU")


@pytest.mark.parametrize(("todo", "steps"), [(3, ["0/3", "1/3", "2/3"]), (0, [])])
def test_one_bar_counts_what_this_start_has_to_measure(monkeypatch, capsys, todo, steps):
    monkeypatch.setenv(TERMINAL, "80")
    monkeypatch.setenv("TERM", "xterm")  # rich draws no bar on a dumb one
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    heard(msgspec.structs.replace(BEGIN, todo=todo), GAP, GAP, END)
    drawn = re.findall(r"\d/\d", capsys.readouterr().err)
    assert list(dict.fromkeys(drawn)) == steps


def test_without_a_terminal_there_is_no_bar(monkeypatch, capsys):
    monkeypatch.delenv(TERMINAL, raising=False)
    heard(BEGIN, GAP, END)
    assert capsys.readouterr() == ("", "")
