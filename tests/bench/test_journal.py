"""The run folder: whole records only, samples that the journal knows, and an end of every run."""

import time

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import EXIT_HANG, EXIT_USAGE, NotMeasuredError, UsageError
from railgauge.journal import (
    JOURNAL,
    PLAN,
    Folder,
    read_block,
    read_journal,
    read_stored_plan,
    sample_path,
)
from railgauge.plan import Plan, cases
from railgauge.rank_lists import decode_ranks, encode_ranks
from railgauge.records import (
    FORMAT,
    Batch,
    Block,
    Choice,
    End,
    GroupResult,
    Note,
    Overlap,
    Result,
    Run,
    encode_runs,
)

PLAN_OF_TWO = Plan(ranks=2, sizes=(8, 16))
ITERATIONS = 5
COLUMNS = [("entry", "exit"), ("duration",), ("duration", "launch"), ("duration", "rank")]


def begin(folder, version=FORMAT):
    folder.append(
        Run(
            format=version,
            version="7.1",
            plan_sha256="",
            started=time.time(),
            ranks=2,
            hosts=("n0",),
            nodes=((0, 2),),
            backend="mpi",
            library="none",
            thread_level="single",
            init_seconds=0.0,
            communicator_seconds=0.0,
            stamp_nanoseconds=0.0,
            clock_uncertainty_ns=0,
            todo=1,
        )
    )


def measured(folder, index, columns=("entry", "exit")):
    """A finished case whose samples are its index."""
    rows = np.full((2, ITERATIONS, len(columns)), index, np.int64)
    groups = (group(),) if columns[-1] != "rank" else (group(), group())
    block = Block(node=0, offset=folder.append_samples(0, rows), ranks="0-1", columns=columns)
    result = Result(
        case=list(cases(PLAN_OF_TWO))[index],
        round=0,
        started=0.0,
        seconds=0.0,
        stopped="count",
        groups=groups,
        samples=(block,),
        transfers=1,
        bus_factor=1.0,
    )
    folder.append(result)
    return result


def group():
    return GroupResult(
        ranks="0-1",
        first_call_ns=1,
        warmup_iterations=0,
        steady=True,
        iterations=ITERATIONS,
        checked_iterations=ITERATIONS,
        missed_windows=0,
    )


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "run")
    assert made.claim(PLAN_OF_TWO, resume=False) == []
    begin(made)
    yield made
    made.release()


def again(folder):
    """The folder as a resumed run opens it."""
    folder.release()
    reopened = Folder(folder.path)
    try:
        return reopened.claim(PLAN_OF_TWO, resume=True)
    finally:
        reopened.release()


@given(st.sets(st.integers(0, 300)))
def test_ranks_come_back_as_they_were_encoded(ranks):
    assert decode_ranks(encode_ranks(sorted(ranks))) == sorted(ranks)


def test_runs_of_equal_values_are_counted():
    assert encode_runs([0, 0, 1, 1, 1, 0]) == ((0, 2), (1, 3), (0, 1))


def test_what_is_appended_is_read_back(folder):
    made = measured(folder, 0)
    folder.append(Note(text="one line\nis one record"))
    assert read_journal(folder.path)[1:] == [made, Note(text="one line\nis one record")]
    assert read_stored_plan(folder.path) == PLAN_OF_TWO


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("tail", [0, 1, 79, 4096])
def test_samples_are_cut_to_what_the_journal_knows(folder, columns, tail):
    first = measured(folder, 0, columns)
    size = sample_path(folder.path, 0).stat().st_size
    with sample_path(folder.path, 0).open("ab") as file:
        file.write(b"\7" * tail)
    assert [result.case.index for result in again(folder)] == [0]
    assert sample_path(folder.path, 0).stat().st_size == size
    second = measured(folder, 1, columns)
    assert second.samples[0].offset == size
    for index, result in enumerate((first, second)):
        assert (read_block(folder.path, result.samples[0], ITERATIONS, 2) == index).all()


def test_samples_of_a_case_that_never_reached_the_journal_are_cut_off(folder):
    folder.append_samples(0, np.ones((2, 5, 2), np.int64))
    folder.append_samples(3, np.ones((2, 5, 2), np.int64))
    assert again(folder) == []
    assert sample_path(folder.path, 0).stat().st_size == 0
    assert sample_path(folder.path, 3).stat().st_size == 0


@pytest.mark.parametrize("how", ["short", "gone"])
def test_samples_that_are_lost_are_not_taken_for_measured(folder, how):
    measured(folder, 0)
    path = sample_path(folder.path, 0)
    path.unlink() if how == "gone" else path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(NotMeasuredError, match=r"node0\.i64"):
        again(folder)


@given(cut=st.integers(1, 400))
def test_a_journal_cut_anywhere_in_its_last_line_keeps_the_others(tmp_path_factory, cut):
    folder = Folder(tmp_path_factory.mktemp("cut") / "run")
    folder.claim(PLAN_OF_TWO, resume=False)
    begin(folder)
    measured(folder, 0)
    journal = folder.path / JOURNAL
    whole = journal.read_bytes()
    measured(folder, 1)
    both = journal.read_bytes()
    torn = both[: max(len(whole), len(both) - cut)]
    journal.write_bytes(torn)
    assert len(read_journal(folder.path)) == 2
    assert [result.case.index for result in again(folder)] == [0]
    assert journal.read_bytes() == whole


@pytest.mark.parametrize("text", [b"not json\n{}\n", b'{"record":"note","text":"x"}\n', b"\n"])
def test_a_foreign_journal_is_refused(folder, text):
    (folder.path / JOURNAL).write_bytes(text)
    with pytest.raises(NotMeasuredError, match=r"journal\.jsonl, line 1"):
        read_journal(folder.path)


def test_a_plan_that_is_being_written_is_not_there_yet(tmp_path, monkeypatch):
    folder = Folder(tmp_path / "run")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        folder.claim(PLAN_OF_TWO, resume=False)
    folder.release()
    assert not (folder.path / PLAN).exists()


def test_a_journal_without_its_plan_is_not_written_to(tmp_path):
    (tmp_path / JOURNAL).write_text("somebody else's\n")
    with pytest.raises(UsageError, match=r"holds a journal\.jsonl without its plan\.json"):
        Folder(tmp_path).claim(PLAN_OF_TWO, resume=False)


def test_a_run_that_gave_up_has_an_end(folder):
    measured(folder, 0)
    with (folder.path / JOURNAL).open("ab") as journal:
        journal.write(b'{"record":"ca')
    folder.give_up("rank 1 did not answer", EXIT_HANG)
    folder.give_up("said twice", EXIT_HANG)
    end = read_journal(folder.path)[-1]
    assert isinstance(end, End)
    assert (end.verdict, end.exit_code, end.message) == ("ERROR", 5, "rank 1 did not answer")
    assert len(read_journal(folder.path)) == 3


def test_a_run_that_was_refused_leaves_the_journal_of_the_other_one_alone(folder):
    measured(folder, 0)
    before = (folder.path / JOURNAL).read_bytes()
    Folder(folder.path).give_up("another run is writing there", EXIT_USAGE)
    assert (folder.path / JOURNAL).read_bytes() == before


def test_a_journal_of_a_newer_format_is_named_whatever_its_records_are(tmp_path):
    folder = Folder(tmp_path)
    begin(folder, version=FORMAT + 1)
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'{"record":"counters"}\n')
    with pytest.raises(
        NotMeasuredError,
        match=rf"format {FORMAT + 1}.* up to {FORMAT}\.\n  next: install railgauge 7\.1",
    ):
        read_journal(tmp_path)


#: What railgauge 0.1 wrote: a run of two ranks, and a non-blocking case with its overlap.
FORMAT_1 = (
    '{"record":"run","format":1,"version":"0.1.0","plan_sha256":"","started":1.5,"ranks":2,'
    '"hosts":["n0"],"nodes":[[0,2]],"backend":"mpi","library":"MPICH 5.0.2",'
    '"thread_level":"funneled","init_seconds":0.1,"communicator_seconds":1e-05,'
    '"stamp_nanoseconds":22.0,"clock_uncertainty_ns":0,"todo":1}\n'
    '{"record":"case","case":{"index":0,"operation":"all_reduce","call":"nonblocking",'
    '"timing":"barrier","dtype":"float32","op":"sum","root":null,"placement":"out","nbytes":8,'
    '"count":2},"round":0,"started":2.5,"seconds":0.5,"stopped":"count","groups":[{"ranks":"0-1",'
    '"first_call_ns":1000,"warmup_iterations":2,"steady":true,"iterations":5,'
    '"checked_iterations":5,"missed_windows":0,"wrong":[],"overlap":{"pure_seconds":1e-06,'
    '"compute_seconds":1e-06,"together_seconds":1.5e-06}}],"samples":[{"node":0,"offset":0,'
    '"ranks":"0-1","columns":["entry","exit"],"clock_ns":0}],"transfers":1,"bus_factor":1.0,'
    '"idle":""}\n'
    '{"record":"end","verdict":"PASS","exit_code":0,"finished":3.5,"message":""}\n'
)


def test_journals_of_the_formats_between_are_still_read(tmp_path):
    more = {
        2: (
            '"functional":false',
            '"batch":{"iterations":20,"host_seconds":0.1,"device_seconds":0.09}',
        ),
        3: ('"functional":true', '"choice":{"algorithm":"Ring"}'),
    }
    for version, (run_has, group_has) in more.items():
        text = FORMAT_1.replace('"format":1', f'"format":{version},{run_has}')
        text = text.replace('"wrong":[]', f'"wrong":[],{group_has}')
        if version == 3:
            counted = '{"node":0,"seconds":1.5,"moved":[["tcp","host",0,"RetransSegs",7,""]]}'
            text = text.replace('"count":2', '"count":2,"algorithm":"ring"')
            text = text.replace('"idle":""', f'"idle":"","counted":[{counted}]')
        (tmp_path / JOURNAL).write_text(text)
        run, result, _ = read_journal(tmp_path)
        assert (run.format, run.functional) == (version, version == 3)
        assert (result.flows, result.pressure, result.name) == ((), None, "")
        (group,) = result.groups
        assert group.rail is None
        assert (group.batch is None) == (version == 3)
        assert [moved.delta for c in result.counted for moved in c.moved] == [7] * (version == 3)
        assert result.case.algorithm == "ring" * (version == 3)


def test_a_journal_of_the_first_format_is_still_read(tmp_path):
    (tmp_path / JOURNAL).write_text(FORMAT_1)
    run, result, end = read_journal(tmp_path)
    assert (run.format, run.functional) == (1, False)
    (group,) = result.groups
    assert group.overlap == Overlap(
        pure_seconds=1e-6, compute_seconds=1e-6, together_seconds=1.5e-6, beside_seconds=None
    )
    assert (group.batch, group.init_seconds, group.choice) == (None, None, None)
    assert end.verdict == "PASS"


def test_a_stored_plan_of_the_first_format_is_still_read(tmp_path):
    (tmp_path / PLAN).write_text('{"ranks":2,"operations":["all_gather"],"buffers":4,"seed":7}')
    made = read_stored_plan(tmp_path)
    assert (made.operations, made.buffers, made.seed) == (("all_gather",), 4, 7)
    assert (made.memory, made.register, made.streams) == ("host", "none", 1)
    assert (made.functional, made.explain, made.variables) == (False, False, ())


def test_what_a_gpu_adds_to_a_result_is_read_back(folder):
    made = measured(folder, 0, ("duration", "launch"))
    (plain,) = made.groups
    told = msgspec.structs.replace(
        plain,
        overlap=Overlap(
            pure_seconds=1.0, compute_seconds=2.0, together_seconds=2.5, beside_seconds=2.25
        ),
        batch=Batch(iterations=20, host_seconds=1.5, device_seconds=1.25),
        init_seconds=0.5,
        choice=Choice(algorithm="Ring", protocol="LL", channels="0..23", transport="P2P/CUMEM"),
    )
    result = msgspec.structs.replace(made, groups=(told,))
    folder.append(result)
    assert read_journal(folder.path)[1:] == [made, result]


def test_giving_up_before_anything_began_leaves_no_trace(tmp_path):
    Folder(tmp_path / "run").give_up("no start", EXIT_HANG)
    assert not (tmp_path / "run").exists()
