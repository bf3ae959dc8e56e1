"""`railgauge gate` as it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from railgauge.cli import main
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import read_stored_plan
from railgauge.plan import cases
from railgauge.simulation.faults import SlowNic
from railgauge_reports.history import ACKS, confirm
from railgauge_reports.history.acks import Ack, add_ack, read_acks
from railgauge_reports.history.gate import gate_of

SLOW = [SlowNic(node="node0001", nic=0, share=0.5)]


@pytest.fixture
def history(nights: Any) -> Path:
    """Ten good nights without a schedule: they are not of this year's calendar."""
    (nights.folder / "history.toml").write_text('every = "off"\n')
    folder: Path = nights.folder
    return folder


@pytest.fixture
def slow(nights: Any, history: Path) -> Path:
    """And an eleventh with a slow NIC."""
    nights.add(10, faults=SLOW)
    return history


@pytest.fixture(scope="module")
def unconfirmed(ten_good_nights: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for tests that change nothing of it."""
    nights = ten_good_nights.copy(tmp_path_factory.mktemp("slow") / "history")
    (nights.folder / "history.toml").write_text('every = "off"\n')
    nights.add(10, faults=SLOW)
    folder: Path = nights.folder
    return folder


def test_the_code_is_the_verdicts(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", str(history)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SIMULATED")
    assert f"PASS (0): night 2026-01-10 of {history}\n" in out
    assert "the smallest effect that is seen is" in out
    assert main(["gate", str(history), "--night", "2026-01-03"]) == 6
    assert "LEARNING (6)" in capsys.readouterr().out
    assert main(["gate", str(history / "night001.00")]) == 3
    assert "no history" in capsys.readouterr().err


def test_confirm_measures_what_is_flagged_once_more(
    slow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", str(slow)]) == 6
    assert f"next: railgauge gate {slow} --confirm\n" in capsys.readouterr().out
    assert main(["gate", str(slow), "--confirm"]) == 1  # the NIC is as slow as before
    out, err = capsys.readouterr()
    assert "REGRESSION (1)" in out
    assert "confirming 2 case(s) of the night's run" in err
    night = slow / "night010.00"
    before, again = (read_stored_plan(folder) for folder in (night, night / "confirm-same/run"))
    assert {case.nbytes for case in cases(again)} == {64 << 20}
    assert again.seed != before.seed
    assert not list(slow.glob(".*.lock*"))
    assert main(["gate", str(slow), "--confirm"]) == 2
    assert "nothing is flagged that another look would settle" in capsys.readouterr().err


def test_a_modelled_cluster_has_no_other_nodes(
    unconfirmed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", str(unconfirmed), "--confirm-other", "--launcher", "srun"]) == 2
    assert "has no other nodes" in capsys.readouterr().err
    assert not (unconfirmed / "night010.00/confirm-other").exists()


def test_an_acknowledgement_is_kept_and_listed(
    slow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "operator")
    assert main(["gate", str(slow), "--ack", "all", "--reason", "ticket 4711"]) == 0
    out, err = capsys.readouterr()
    assert "acknowledged: all, by operator on night night010.00, for good: ticket 4711" in err
    assert (
        "acknowledged: all, by operator on night night010.00, for good: ticket 4711 (holds)" in out
    )
    assert read_acks(slow) == (
        Ack(series="all", night="night010.00", author="operator", reason="ticket 4711"),
    )


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (["--ack", "all"], "why is it accepted"),
        (["--ack", "all", "--reason", " "], "why is it accepted"),
        (["--reason", "x"], "--reason is of --ack"),
        (["--ack", "all", "--reason", "x", "--expires", "soon"], "--expires soon: no date"),
        (["--ack", "all", "--reason", "x", "--expires", "2020-01-01"], "before the night"),
        (["--ack", "nothing/*", "--reason", "x"], "covers nothing that is flagged"),
        (["--launcher", "srun"], "--launcher is of --confirm"),
        (["--confirm", "--confirm-other"], "one by one"),
        (["--confirm", "--launcher", "srun '"], "words as in a shell"),
        (["--timeout", "nan"], "expected a number above 0"),
        (["--format", "csv"], "--format csv: shows runs, and not a history"),
        (["--format", "jso"], "Did you mean 'json'"),
        (["--json", "--format", "table"], "--json means --format json"),
        (["--night", "yesterday"], "no such night"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_refused_and_writes_nothing(
    unconfirmed: Path, capsys: pytest.CaptureFixture[str], typed: list[str], why: str
) -> None:
    assert main(["gate", str(unconfirmed), *typed]) == 2
    assert why in capsys.readouterr().err
    assert not (unconfirmed / ACKS).exists()
    assert not (unconfirmed / "night010.00/confirm-same").exists()


def test_json_has_the_verdict_as_a_word(
    unconfirmed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", str(unconfirmed), "--json"]) == 6
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["exit_code"]) == ("UNCONFIRMED", 6)
    assert told["nights"][told["night"]]["folder"] == "night010.00"
    assert {len(one["values"]) for one in told["series"]} == {11}


def test_output_writes_a_file(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "gate.json"
    assert main(["gate", str(history), "--json", "--output", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert json.loads(target.read_text())["verdict"] == "PASS"


def test_one_line_for_a_monitor(unconfirmed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", str(unconfirmed), "--nagios"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("RAILGAUGE WARNING: SIMULATED")
    assert out.count("\n") == 1
    assert "series=4;;;0 regression=0;;;0 changed=0;;;0 unconfirmed=2;;;0" in out
    assert main(["gate", str(unconfirmed / "nowhere"), "--nagios"]) == 3
    assert capsys.readouterr().out.startswith("RAILGAUGE UNKNOWN")


# acknowledgements as a file -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ['a "quoted" word', "back\\slash", "two\nlines", "tab\tand \x7f", "ünïcödé ☃", "]] [[x"]
)
def test_any_words_of_an_acknowledgement_are_read_back(tmp_path: Path, text: str) -> None:
    one = Ack(series=text, night="n1", author=text, reason=text)
    add_ack(tmp_path, one)
    add_ack(tmp_path, msgspec.structs.replace(one, night="n2"))
    assert read_acks(tmp_path) == (one, msgspec.structs.replace(one, night="n2"))


def test_what_a_person_wrote_beside_stays(tmp_path: Path) -> None:
    by_hand = '# ours\n[[acks]]\nseries = "all"\nnight = "n0"\nauthor = "me"\nreason = "why"\n'
    (tmp_path / ACKS).write_text(by_hand)
    add_ack(tmp_path, Ack(series="*", night="n1", author="me", reason="because"))
    assert (tmp_path / ACKS).read_text().startswith(by_hand)
    assert [ack.night for ack in read_acks(tmp_path)] == ["n0", "n1"]
    assert [path.name for path in tmp_path.iterdir()] == [ACKS]


def test_a_damaged_file_is_not_written_over(slow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (slow / ACKS).write_text("[[acks]\n")
    assert main(["gate", str(slow), "--ack", "all", "--reason", "x"]) == 2
    assert ACKS in capsys.readouterr().err
    assert (slow / ACKS).read_text() == "[[acks]\n"


# confirming runs under a launcher -----------------------------------------------------------------------


@pytest.fixture
def launched(nights: Any, slow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """launched(hosts of the confirming run, other): what the launcher was; as if the cluster were real."""

    def confirmed(prefix: str, other: bool) -> list[str]:
        ready = tmp_path / "ready"
        made = nights.add(10, name="x", seed=3, hosts=lambda host: host.replace("node", prefix))
        made.rename(ready)
        said: list[str] = []

        def run(_: object, place: Path, words: list[str], timeout: float) -> None:
            said.extend([*words, f"{timeout:g}"])
            shutil.copytree(ready, place)

        monkeypatch.setattr(confirm, "_check", lambda *_: None)
        monkeypatch.setattr(confirm, "_run", run)
        confirm.confirm(slow, None, ["srun", "-w", "{hosts}"], other, 60.0, lambda _: None)
        return said

    return confirmed


def test_a_launcher_gets_the_hosts_of_the_night(launched: Any, slow: Path) -> None:
    hosts = "node0000,node0001,node0002,node0003"
    assert launched("node", other=False) == ["srun", "-w", hosts, "60"]
    assert {one.state for one in gate_of(slow).series} == {"accepted", "outlier"}


def test_other_nodes_count_where_they_are_others(launched: Any, slow: Path) -> None:
    launched("other", other=True)
    assert {one.confirm_other is None for one in gate_of(slow).of_state("unconfirmed")} == {False}


@pytest.mark.parametrize(("prefix", "other"), [("node", True), ("other", False)])
def test_a_run_on_the_wrong_nodes_is_put_aside(
    launched: Any, slow: Path, prefix: str, other: bool
) -> None:
    with pytest.raises(NotMeasuredError, match=f"was on {prefix}0000") as error:
        launched(prefix, other)
    assert "it is kept in" in str(error.value)
    folder = f".confirm-{'other' if other else 'same'}-elsewhere1"
    assert (slow / "night010.00" / folder / "journal.jsonl").exists()
    assert {one.state for one in gate_of(slow).series} == {"accepted", "unconfirmed"}


def test_ranks_on_several_nodes_want_a_launcher(unconfirmed: Path) -> None:
    gate = gate_of(unconfirmed, "night010.00")
    (want,) = confirm.plans(gate, unconfirmed, other=False)
    real = want._replace(plan=msgspec.structs.replace(want.plan, cluster=None))
    with pytest.raises(UsageError, match=r"next: --launcher 'srun -n 32 --nodelist=\{hosts\}'"):
        confirm._check(real, (), other=False)
    with pytest.raises(UsageError, match=r"--exclude=\{hosts\}"):
        confirm._check(real, (), other=True)
    confirm._check(real, ("srun",), other=True)
