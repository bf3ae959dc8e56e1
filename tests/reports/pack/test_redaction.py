"""`--redact`: nothing that names the site is left, and the run reads as before."""

from __future__ import annotations

import json
import re
import stat
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge.cli import call, main
from railgauge.errors import NotMeasuredError, RailgaugeError, UsageError
from railgauge_reports.frames import case_frame
from railgauge_reports.pack import staging
from railgauge_reports.pack.checking import check
from railgauge_reports.pack.making import Asked, make
from railgauge_reports.pack.redaction.collecting import Site
from railgauge_reports.pack.redaction.ours import is_weak
from railgauge_reports.pack.redaction.pseudonyms import Pseudonyms
from railgauge_reports.pack.redaction.rewriting import Redactor
from railgauge_reports.stored import read_run

from .conftest import members, write_run

SITE = {
    "hosts": ("zeus-gpu07.hpc.example.edu", "zeus-gpu12.hpc.example.edu"),
    "nodes": (
        {
            "boot_id": "7f0e4c1a-90b2-4c4e-8a51-3d2f6a7b8c9d",
            "kernel": "5.15.0-91-generic",
            "versions": {"numpy": "2.1.0", "mofed": "5.8.1.2"},
            "variables": {
                "NCCL_TOPO_FILE": "/home/kowalski/topo.xml",
                "UCX_NET_DEVICES": "mlx5_0:1",
                "SLURM_TOPOLOGY_ADDR": "core1.edge9.zeus-gpu07",
            },
            "counters": {
                "places": [
                    {
                        "source": "rdma",
                        "device": "mlx5_0",
                        "port": 1,
                        "facts": {"board_id": "MT_0000000838", "driver": "mlx5_core"},
                        "unknown": {"x": "zeus-gpu07: cannot read 10.20.30.40"},
                    }
                ],
                "problems": {},
            },
        },
        {"serial": "S9XK31442", "storage": "nfs01.example.edu:/export/home/kowalski"},
    ),
    "audit": (
        {
            "check": "gid_table",
            "where": "mlx5_0",
            "value": {
                "table": [
                    {"index": 0, "type": "RoCE v2", "address": "fe80::e42:a1ff:fe65:1a2e"},
                    {"index": 1, "type": "RoCE v2", "address": "10.20.30.40"},
                ]
            },
        },
        {
            "check": "device_binding",
            "value": {"guid": "0c42:a103:0065:1a2e", "pci": "0000:3b:00.0", "netdev": "enp59s0"},
        },
    ),
    "notes": (
        "rank 1 on ZEUS-GPU12 has fe80::e42:a1ff:fe65:1a2e, mac 0c:42:a1:65:1a:2e (0c42.a165.1a2e)",
        "guid 0x0c42a10300651a2e, GPU-7f0e4c1a-90b2-4c4e-8a51-3d2f6a7b8c9d, PSID MT_0000000838",
        "see kowalski@zeus-gpu07.hpc.example.edu:~kowalski/x and zeus-gpu[01-03], zeus-gpu99-ib0",
        "serial number: S9XK31442; gateway 10.20.30.40:8080, 10.20.30.41/24, loopback 127.0.0.1",
    ),
    "message": "killed on zeus-gpu12 by kowalski",
    "wrong_on": "zeus-gpu07.hpc.example.edu",
    "variables": (("NCCL_SOCKET_IFNAME", "enx0c42a1651a2e"), ("X", "zeus-gpu12:/home/kowalski")),
    "leaves": (
        ("leaf-zeus-3", ("zeus-gpu07.hpc.example.edu", "zeus-gpu12.hpc.example.edu")),
        ("leaf-zeus-4", ("zeus-gpu13.hpc.example.edu",)),
    ),
}
#: What gives this site away, however it is spelled.
SECRETS = (
    *("zeus", "example.edu", "kowalski", "core1", "edge9", "nfs01", "s9xk31442", "0000000838"),
    *("10.20.30", "1a2e", "0c42", "a103", "7f0e4c1a", "3d2f6a7b"),
)


def redacted(run: Path, output: Path, **asked) -> dict[str, bytes]:
    make(
        [run],
        Asked(output=output, redact=True, **{"reports": ("csv", "json", "markdown"), **asked}),
    )
    assert check(output).exit_code == 0
    return members(output)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the run of SITE and its redacted pack."""
    folder = tmp_path_factory.mktemp("site")
    redacted(write_run(folder / "zeus-acceptance", **SITE), folder / "pack.zip")
    return folder


@pytest.fixture
def content(site):
    """The members of a redacted pack of SITE."""
    return members(site / "pack.zip")


def test_nothing_that_names_the_site_is_left(content):
    for name, data in content.items():
        text = f"{name}\n{data.decode('latin-1')}".lower()
        assert not [secret for secret in SECRETS if secret in text], name


def test_the_search_of_this_test_finds_all_of_it_in_an_unredacted_pack(packed, run_of):
    content = members(packed(run=run_of(name="zeus-acceptance", **SITE)))
    text = "".join(f"{name}\n{data.decode('latin-1')}" for name, data in content.items()).lower()
    assert [secret for secret in SECRETS if secret not in text] == []


def test_hosts_are_numbered_in_the_order_of_the_run(content):
    journal = content["runs/run0001/journal.jsonl"].decode()
    assert json.loads(journal.splitlines()[0])["hosts"] == ["node0001", "node0002"]


def test_a_name_is_the_same_in_every_file_and_in_every_case_and_length(content):
    plan = json.loads(content["runs/run0001/plan.json"])
    assert plan["leaves"] == [
        ["leaf0001", ["node0001", "node0002"]],
        ["leaf0002", ["node0003"]],
    ]
    assert plan["variables"][1] == ["X", "node0002:/home/user0001"]
    lines = [json.loads(line) for line in content["runs/run0001/journal.jsonl"].splitlines()]
    notes = [line["text"] for line in lines if line["record"] == "note"]
    assert notes[0].startswith("rank 1 on node0002 has fe80:db8::1, mac 02:00:00:00:00:01 (0200.")
    assert notes[2].startswith("see user0001@node0001:~user0001/x and node0")
    assert lines[-1]["message"] == "killed on node0002 by user0001"
    (wrong,) = lines[5]["groups"][0]["wrong"]
    assert wrong["host"] == "node0001"


def test_an_address_is_the_same_however_it_is_written(content):
    audit = json.loads(content["runs/run0001/audit.json"])
    table = audit["taken"][0]["reads"][0]["value"]["table"]
    assert [entry["address"] for entry in table] == ["fe80:db8::1", "240.0.0.1"]
    guid = audit["taken"][1]["reads"][0]["value"]["guid"]
    notes = content["runs/run0001/journal.jsonl"].decode()
    assert f"guid 0x{guid.replace(':', '')}" in notes
    assert "mac 02:00:00:00:00:01 (0200.0000.0001)" in notes
    assert "enx020000000001" in content["runs/run0001/plan.json"].decode()


def test_what_names_nobody_stays(content):
    environment = content["runs/run0001/environment.json"].decode()
    for kept in ("5.15.0-91-generic", '"mofed": "5.8.1.2"', "mlx5_0:1", "mlx5_core"):
        assert kept in environment
    journal = content["runs/run0001/journal.jsonl"].decode()
    for kept in ("127.0.0.1", "0x3ff0000000000001", '"started":1700000000.0', ":8080", "/24"):
        assert kept in journal
    assert "0000:3b:00.0" in content["runs/run0001/audit.json"].decode()


def test_samples_are_untouched(content, site):
    for node in (0, 1):
        name = f"samples/node{node}.i64"
        original = (site / "zeus-acceptance" / name).read_bytes()
        assert content[f"runs/run0001/{name}"] == original


def test_the_digest_of_the_plan_is_that_of_the_redacted_plan(site, tmp_path):
    folder = tmp_path / "unpacked"
    check(site / "pack.zip", extract=folder)
    stored = read_run(folder / "runs/run0001")
    assert stored.last.plan_sha256 == stored.plan.sha256()
    assert stored.plan.sha256() != read_run(site / "zeus-acceptance").plan.sha256()


def test_the_digest_of_a_plan_of_an_earlier_start_does_not_stay(run_of, tmp_path):
    run = run_of()
    journal = run / "journal.jsonl"
    digest = read_run(run).plan.sha256()
    journal.write_text(
        journal.read_text().replace(digest, "5" * 64)
    )  # begun with another --timeout
    content = redacted(run, tmp_path / "a.zip", reports=())
    assert b"5" * 64 not in content["runs/run0001/journal.jsonl"]


def test_the_manifest_says_that_it_is_redacted_and_counts(content):
    made = json.loads(content["manifest.json"])
    assert made["redacted"]
    assert made["replaced"]["user"] == 1
    assert made["replaced"]["ipv4"] == 2


# maps ------------------------------------------------------------------------------------------------


def test_a_map_keeps_names_over_packs_and_stays_with_its_owner(run_of, tmp_path):
    file = tmp_path / "map.json"
    first = redacted(run_of(("b1", "a1"), name="one"), tmp_path / "1.zip", map=file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second = redacted(run_of(("a1", "c1"), name="two"), tmp_path / "2.zip", map=file)
    hosts = [
        json.loads(content["runs/run0001/journal.jsonl"].splitlines()[0])["hosts"]
        for content in (first, second)
    ]
    assert hosts == [["node0001", "node0002"], ["node0002", "node0003"]]
    known = json.loads(file.read_text())["words"]["host"]
    assert known == {"b1": "node0001", "a1": "node0002", "c1": "node0003"}
    for name in ("journal.jsonl", "environment.json", "plan.json"):
        assert b"c1" not in second[f"runs/run0001/{name}"]


def test_without_a_map_the_same_run_gives_the_same_bytes(run_of, tmp_path):
    run = run_of(**SITE)
    redacted(run, tmp_path / "1.zip")
    redacted(run, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "x"}', "\xff", '{"words": {"host": 3}}'])
def test_what_is_no_map_is_named_and_kept(run_of, tmp_path, text):
    file = tmp_path / "map.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"--map .*map.json"):
        redacted(run_of(), tmp_path / "a.zip", map=file)
    assert file.read_text(encoding="latin-1") == text


def test_a_map_whose_replacements_are_names_of_this_run_is_refused(run_of, tmp_path):
    file = tmp_path / "map.json"
    redacted(run_of(("a1", "b1"), name="one"), tmp_path / "1.zip", map=file)
    with pytest.raises(UsageError, match="'node0002'"):
        redacted(run_of(("node0002", "c1"), name="two"), tmp_path / "2.zip", map=file)
    run = run_of(("d1", "e1"), name="three", notes=("from 10.0.0.1",))
    redacted(run, tmp_path / "3.zip", map=file)
    run = run_of(("d1", "e1"), name="four", notes=("from 240.0.0.1",))
    with pytest.raises(UsageError, match=r"240\.0\.0\.1"):
        redacted(run, tmp_path / "4.zip", map=file)
    assert not (tmp_path / "4.zip").exists()


def test_a_map_in_what_is_packed_is_refused(run_of, tmp_path):
    run = run_of()
    with pytest.raises(UsageError, match=r"--map .* would lie in"):
        redacted(run, tmp_path / "a.zip", map=run / "map.json")


def test_replacements_avoid_the_names_that_the_site_has(run_of, tmp_path):
    content = redacted(run_of(("node0002", "node0001", "host7", "x1")), tmp_path / "a.zip")
    hosts = json.loads(content["runs/run0001/journal.jsonl"].splitlines()[0])["hosts"]
    assert hosts == ["machine0001", "machine0002", "machine0003", "machine0004"]


# files of all kinds ----------------------------------------------------------------------------------


def test_other_files_are_redacted_as_text(run_of, tmp_path):
    run = run_of(**SITE)
    (run / "zeus-gpu07.log").write_text("up on zeus-gpu12\nby <zeus-gpu07>&kowalski\n")
    (run / "torn.json").write_text('{"host": "zeus-gpu12", "text": "zeus-gpu07 at 10.20.')
    (run / "accept.json").write_text(json.dumps({"by_host": {"zeus-gpu07": {"late": 1e-3}}}))
    content = redacted(run, tmp_path / "a.zip", reports=())
    assert content["runs/run0001/node0001.log"] == b"up on node0002\nby <node0001>&user0001\n"
    assert b"zeus" not in content["runs/run0001/torn.json"]
    assert json.loads(content["runs/run0001/accept.json"]) == {
        "by_host": {"node0001": {"late": 1e-3}}
    }


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00", b"caf\xe9 on n0"])
def test_a_binary_file_is_a_named_error_and_can_be_left_out(run_of, tmp_path, data):
    run = run_of()
    (run / "picture").write_bytes(data)
    with pytest.raises(UsageError, match=r"picture: no text(.|\n)*--without 'picture'"):
        redacted(run, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    assert "runs/run0001/picture" not in redacted(run, tmp_path / "a.zip", without=("picture",))


def test_keys_and_patterns_that_are_addresses_are_replaced(run_of, tmp_path):
    run = run_of(nodes=({"versions": {"10.7.7.7": "1.2"}}, {"gids": {"10.7.7.8": "fe80::77:1"}}))
    content = redacted(run, tmp_path / "a.zip", reports=(), without=("10.7.7.9*",))
    assert not [name for name, data in content.items() if b"10.7.7" in data or b"77:1" in data]
    assert json.loads(content["manifest.json"])["without"] == ["240.0.0.3*"]


def test_a_name_inside_samples_fails_closed(run_of, tmp_path):
    run = run_of(("longhostname1", "n2"))
    with (run / "samples/node1.i64").open("ab") as file:
        file.write(b"\0" * (1 << 20) + b"longhostname1...")
    with pytest.raises(NotMeasuredError, match=r"node1\.i64: 'longhostname1' is still there"):
        redacted(run, tmp_path / "a.zip")


def test_a_binary_report_is_refused(run_of, tmp_path):
    with pytest.raises(UsageError, match="binary"):
        redacted(run_of(), tmp_path / "a.zip", reports=("parquet",))


@pytest.mark.parametrize("where", ["document", "text"])
def test_a_rewriting_that_misses_something_fails_closed(run_of, tmp_path, monkeypatch, where):
    run = run_of(("quux1", "quux2"))
    (run / "log.txt").write_text("on quux2\n")
    monkeypatch.setattr(f"railgauge_reports.pack.staging.Redactor.{where}", lambda _, text: text)
    with pytest.raises(NotMeasuredError, match=r"'.*quux.*' is still there"):
        redacted(run, tmp_path / "a.zip", map=tmp_path / "m.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_report_that_shows_a_name_fails_closed(run_of, tmp_path, monkeypatch):
    for shown in ("quux1", "QUUX1:", "&#113;uux1", "\\u0071uux1", "q\\uux1", "10.1.2.3"):
        monkeypatch.setattr(
            "railgauge_reports.formats.csv.render", lambda _, shown=shown: f"a,{shown}\n"
        )
        run = run_of(
            ("quux1", "n2"), name=f"run{len(shown)}{shown[1:2].encode().hex()}", notes=("10.1.2.3",)
        )
        with pytest.raises(NotMeasuredError, match="is still there"):
            redacted(run, tmp_path / "a.zip", reports=("csv",))


def test_the_command_says_what_was_replaced(run_of, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["pack", str(run_of(name="zeus", **SITE)), "--redact", "--reports", "csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "redacted.zip\n"
    assert "replaced: 7 host, 4 leaf, 1 user, " in shown.err
    assert main(["report", "redacted.zip", "--format", "csv"]) in (0, 4, 6)


# any names at all ------------------------------------------------------------------------------------

HOSTILE = (
    *(
        "<script>alert(1)</script>",
        'a"b',
        "a'b",
        "a\\b",
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\x",
    ),
    *("node", "send", "sendrecv", "world", "host", "hosts", "in", "out", "rank", "0", "7", "2024"),
    *("n", "n1", "n10", "n1-ib0", "xn1", "gpu", "gpu1", "GPU1", "gpu1.a.com", "gpu1.b.com", "a,b"),
    *(
        "node0001",
        "leaf0001",
        "user0001",
        "float32",
        "mlx5_0",
        "mlx5",
        "eth0",
        "true",
        "null",
        "{}",
    ),
    *(
        "10.1.2.3",
        "::1",
        "fe80::1",
        "0c:42:a1:65:1a:2e",
        "ü.example.com",
        "日本",
        "🙂",
        "a b",
        "%s",
    ),
    *("plan.json", "journal.jsonl", "samples", "zeus\ngpu8"),
    *("x" * 255, "a.b.c.d.e", "-", "--output", "localhost", "&amp;", "|", "$(reboot)", "kb1", "#"),
)
names_of_hosts = st.one_of(
    st.sampled_from(HOSTILE),
    st.from_regex(r"[a-z]{1,6}-?[a-z]{0,3}[0-9]{0,3}(\.[a-z]{2,5}){0,2}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12),
).filter(lambda name: name == name.strip())


def test_hostile_hosts_give_the_same_rows_in_every_report_and_none_of_their_names(tmp_path):
    run = write_run(
        tmp_path / "run",
        HOSTILE,
        notes=[f"{host} is slow" for host in HOSTILE],
        wrong_on=HOSTILE[0],
        leaves=((f"{HOSTILE[1]} leaf", HOSTILE),),
    )
    redacted(run, tmp_path / "pack.zip", reports=("csv", "json", "markdown", "table", "nccl_tests"))
    check(tmp_path / "pack.zip", extract=tmp_path / "out")
    copy = tmp_path / "out/runs/run0001"
    mapped = dict(zip(HOSTILE, read_run(copy).last.hosts, strict=True))
    before, after = case_frame(read_run(run)), case_frame(read_run(copy))
    named = ["hosts", "slowest_host"]
    pd.testing.assert_frame_equal(before.drop(columns=named), after.drop(columns=named))
    groups = [[int(rank) for rank in re.findall(r"\d+", group)] for group in before["group"]]
    assert list(after["hosts"]) == [
        " ".join(mapped[HOSTILE[rank]] for rank in dict.fromkeys(group)) for group in groups
    ]


@settings(max_examples=20)
@given(
    st.lists(names_of_hosts, min_size=2, max_size=5, unique=True),
    st.lists(st.sampled_from(("{0} is slow", "on {1}: {0}-ib0", "({1}).", "rank 3")), max_size=3),
)
def test_any_hosts_are_replaced_one_for_one_wherever_they_stand(hosts, notes):
    with tempfile.TemporaryDirectory() as scratch:
        said = [note.format(*hosts) for note in notes]
        leaves = ((f"{hosts[-1]} switch", tuple(hosts)),)
        run = write_run(
            Path(scratch) / "run", hosts, notes=said, wrong_on=hosts[0], leaves=leaves, samples=1
        )
        content = redacted(run, Path(scratch) / "pack.zip", reports=())
    lines = [json.loads(s) for s in content["runs/run0001/journal.jsonl"].splitlines()]
    made = lines[0]["hosts"]
    assert len(set(made)) == len(hosts)
    assert made == sorted(made)
    assert not set(made) & set(hosts)
    assert lines[-2]["groups"][0]["wrong"][0]["host"] == made[0]
    assert json.loads(content["runs/run0001/plan.json"])["leaves"][0][1] == made
    nodes = json.loads(content["runs/run0001/environment.json"])["nodes"]
    assert [node["host"] for node in nodes] == made
    for was, now in zip(said, [line["text"] for line in lines[1:-2]], strict=True):
        assert now == was if was == "rank 3" and "3" not in hosts else True
    for name in ("plan.json", "journal.jsonl", "environment.json"):
        shown = re.findall(r'"(?:[^"\\]|\\.)*"', content[f"runs/run0001/{name}"].decode())
        values = {json.loads(value).lower() for value in shown}
        assert not {host for host in hosts if not is_weak(host) and host.lower() in values}


@settings(max_examples=50)
@given(st.data())
def test_redacting_what_is_redacted_changes_nothing(data):
    hosts = data.draw(st.lists(names_of_hosts, min_size=1, max_size=4, unique=True))
    text = data.draw(
        st.lists(st.sampled_from((*hosts, " ", "-", ".", "x", "1", ":", "::1")))
    ).copy()
    site = Site()
    site.add_hosts(hosts, nodes=True)
    line = f"{''.join(text)} (10.9.8.7)"
    site.text(line)
    site.name_all(pseudonyms := Pseudonyms())
    redactor = Redactor(site, pseudonyms, {})
    once = redactor.text(line)
    assert redactor.text(once) == once
    assert redactor.left_in_text(once) == ""
    assert "(10.9.8.7)" not in once


@settings(max_examples=15)
@given(st.binary(max_size=200))
def test_any_file_is_redacted_or_a_named_error(data):
    with tempfile.TemporaryDirectory() as scratch:
        run = write_run(Path(scratch) / "run", ("quux1", "quux2"))
        (run / "some.json").write_bytes(data + b" quux1")
        (run / "some.txt").write_bytes(data)
        try:
            content = redacted(run, Path(scratch) / "a.zip", reports=())
        except RailgaugeError:
            return
        assert b"quux1" not in content["runs/run0001/some.json"]


def test_hundreds_of_hosts_are_all_replaced(run_of, tmp_path):
    hosts = [f"dc3-r{k // 32:02d}-gpu{k:04d}" for k in range(100)]
    run = run_of(hosts, notes=[f"{host} is late" for host in hosts], samples=2)
    content = redacted(run, tmp_path / "a.zip", reports=())
    assert b"dc3" not in content["runs/run0001/journal.jsonl"]
    assert b"node0100 is late" in content["runs/run0001/journal.jsonl"]


def test_a_simulated_run_with_a_name_of_its_own_stays_readable(tmp_path, capsys):
    cluster = tmp_path / "site.toml"
    cluster.write_text('nodes = 4\nname = "zeuscluster"\n')
    options = ("--pattern", "pairs", "--operation", "sendrecv", "--rounds", "1", "--sizes", "1M")
    assert (
        call(
            [
                "run",
                "--backend",
                "simulated",
                "--cluster",
                str(cluster),
                "--output",
                str(tmp_path / "run"),
                *options,
            ]
        )
        == 0
    )
    content = redacted(tmp_path / "run", tmp_path / "a.zip", reports=("markdown",))
    assert not [name for name, data in content.items() if b"zeus" in data]
    assert json.loads(content["runs/run0001/plan.json"])["cluster"]["name"] == "node"
    capsys.readouterr()
    reports = []
    for path in (tmp_path / "run", tmp_path / "a.zip"):
        assert call(["report", str(path), "--format", "csv"]) == 0
        reports.append(capsys.readouterr().out)
    renamed = re.sub(r"zeuscluster(\d+)", lambda m: f"node{int(m[1]) + 1:04d}", reports[0])
    assert renamed == reports[1]


def test_the_owner_of_the_files_is_replaced_by_name(run_of, tmp_path, monkeypatch):
    user = type("User", (), {"pw_uid": 1000, "pw_name": "kowalski7"})()
    monkeypatch.setattr(staging.pwd, "getpwuid", lambda _: user)
    run = run_of(notes=("read /scratch/kowalski7/x",))
    content = redacted(run, tmp_path / "a.zip", reports=())
    assert b"/scratch/user0001/x" in content["runs/run0001/journal.jsonl"]
