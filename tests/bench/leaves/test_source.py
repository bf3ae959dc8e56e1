"""Leaves from whatever names them: every form says the same of one cluster, and odd files are refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.leaves.source import asks_slurm, leaves_of

LEAVES = (("leaf0", ("node0", "node1", "gpu7")), ("leaf1", ("node2", "node3")))
CONF = """# made by hand
switchname=leaf0 \\
  nodes=node[0-1],gpu7
SwitchName=leaf1 LinkSpeed=400 Nodes="node[2-3]"
SwitchName=spine Switches=leaf[0-1]
"""
SHOWN = """SwitchName=leaf0 Level=0 LinkSpeed=1 Nodes=node[0-1],gpu7
SwitchName=leaf1 Level=0 LinkSpeed=1 Nodes=node[2-3]
SwitchName=empty Level=0 LinkSpeed=1 Nodes=(null)
SwitchName=spine Level=1 LinkSpeed=1 Nodes=gpu7,node[0-3] Switches=leaf[0-1]
SwitchName=core Level=2 LinkSpeed=1 Nodes=gpu7,node[0-3]
"""
BLOCKS_CONF = (
    "BlockName=leaf0 Nodes=node[0-1],gpu7\nBlockName=leaf1 Nodes=node[2-3]\nBlockSizes=2,4\n"
)
BLOCKS_SHOWN = """BlockName=leaf0 BlockIndex=0 Nodes=node[0-1],gpu7 BlockSize=3
BlockName=leaf1 BlockIndex=1 Nodes=node[2-3] BlockSize=3
AggregatedBlock=leaf[0-1] BlockIndex=2 Nodes=node[0-3],gpu7 BlockSize=6
"""
PLAIN = "leaf0: node[0-1], gpu7\n\nleaf1: node2 node3  # two\n"
TREE_YAML = """---
- topology: other
  flat: true
- topology: fabric
  cluster_default: true
  tree:
    switches:
      - switch: spine
        children: leaf[0-1]
      - {switch: leaf0, nodes: "node[0-1],gpu7"}
      - switch: leaf1  # a list does as well
        nodes: [node2, node3]
"""
BLOCK_YAML = """- topology: fabric
  block:
    block_sizes: [2, 4]
    blocks:
      - block: leaf0
        nodes: node[0-1],gpu7
      - block: leaf1
        nodes: node[2-3]
- topology: other
  flat: {alpha_step_rank: true}
"""
TOML = '[leaves]\nleaf0 = "node[0-1],gpu7"\nleaf1 = ["node2", "node3"]\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("topology.conf", CONF),
        ("shown", SHOWN),
        ("topology.conf", BLOCKS_CONF),
        ("shown", BLOCKS_SHOWN),
        ("leaves", PLAIN),
        ("topology.yaml", TREE_YAML),
        ("shown", TREE_YAML),
        ("TOPOLOGY.YML", BLOCK_YAML),
        ("shown", BLOCK_YAML),
        ("site.toml", TOML),
        ("leaves", f"# ours\n\n{TOML}"),
    ],
)
def test_every_form_says_the_same_of_one_cluster(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert leaves_of(str(path)) == LEAVES


def test_a_topology_of_several_is_chosen_by_its_name(tmp_path):
    path = tmp_path / "topology.yaml"
    path.write_text(TREE_YAML + BLOCK_YAML.replace("fabric", "rack").replace("leaf", "block"))
    assert [name for name, _ in leaves_of(f"{path}:rack")] == ["block0", "block1"]
    with pytest.raises(UsageError, match="unknown topology 'racks'"):
        leaves_of(f"{path}:racks")
    with pytest.raises(UsageError, match="topology other: flat has no leaves"):
        leaves_of(f"{path}:other")


def test_names_in_yaml_are_text_whatever_they_look_like(tmp_path):
    path = tmp_path / "topology.yaml"
    path.write_text("- topology: on\n  tree:\n    switches:\n      - {switch: 012, nodes: '0x1'}\n")
    assert leaves_of(str(path)) == (("012", ("0x1",)),)


ANCHORS = "- &a {topology: t, tree: {switches: &b [{switch: s, nodes: n0}]}}\n- *a\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"", "names no leaf"),
        (b"SwitchName=spine Switches=leaf[0-1]\n", "names no leaf"),
        (b"SwitchName=leaf0 Level=1 Nodes=n0\n", "names no leaf"),
        (b"leaf0 node0\n", "line 1: 'leaf0 node0' is no leaf"),
        (b"leaf0: n[0-2]\nleaf1: n2\n", "line 2: n2 hangs on leaf0 already"),
        (b"leaf0: n0\nleaf0: n1\n", "line 2: n1 hangs on leaf0 already"),
        (b"leaf0: n[0-3] n2\n", "line 1: n2 hangs on leaf0 already"),
        (b"leaf0: n[3-1]\n", "runs backwards"),
        (b"\nSwitchName=leaf0 \\\nNodes=n[0-1], n5\n", "line 2: 'n5' belongs to nothing"),
        (b"RingName=r0 Nodes=n[0-7] RingSize=8\n", "a ring has no leaf switches"),
        (b"TorusName=t Dims=4x4x2 Nodes=n[0-31]\n", "a 3D torus has no leaf switches"),
        (b"Include /etc/slurm/more.conf\n", "other files are not read"),
        (b"[leaves]\nleaf0 = 3\n", "Expected `str | array`, got `int`"),
        (b"[leaves]\nleaf0 = 'n0'\n[more]\n", "unknown field `more`"),
        (b"---\n", "no list of topologies"),
        (b"---\n- - 3\n", "no list of topologies"),
        (b"--- {a: ]\n", "line 1: "),
        (b"- topology: t\n  tree: 3\n", "switches is no list of leaves"),
        (b"- topology: t\n  tree: {switches: [{nodes: n0}]}\n", "has no name"),
        (b"- topology: t\n  tree: {switches: [{switch: s, nodes: [[n0]]}]}\n", "no list of hosts"),
        (b"- topology: t\n  ring: {rings: []}\n", "topology t: ring has no leaves"),
        (f"---\n{ANCHORS}".encode(), "line 3: an alias, which Slurm does not read"),
        (b"---\n" + b"[" * 2_000, "no YAML"),
    ],
)
def test_a_file_that_cannot_be_right_names_the_place(tmp_path, text, said):
    path = tmp_path / "leaves"
    path.write_bytes(text)
    with pytest.raises(UsageError, match="--leaves") as caught:
        leaves_of(str(path))
    assert said in str(caught.value)


def test_yaml_that_is_too_long_for_its_parser_is_refused(tmp_path):
    path = tmp_path / "topology.yaml"
    path.write_text("#" * (4 << 20) + "\n")
    with pytest.raises(UsageError, match="YAML of more than 4194304 characters"):
        leaves_of(str(path))


def test_a_file_has_an_end_to_its_hosts(tmp_path, monkeypatch):
    monkeypatch.setattr("railgauge.leaves.gathered.MOST_HOSTS", 8)
    path = tmp_path / "leaves"
    path.write_text("a: n[0-5]\nb: m[0-5]\n")
    with pytest.raises(UsageError, match="line 2: more than 8 hosts in all"):
        leaves_of(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        leaves_of(str(tmp_path / "none"))


WORDS = st.sampled_from(
    [
        *("SwitchName=a", "BlockName=b", "Nodes=n[0-3]", "Switches=a", "Level=1", "a: n1", "\n"),
        *("---\n", "- topology: t\n", "  tree:\n", "    switches:\n", "      - switch: s\n"),
        *(
            "        nodes: n1\n",
            "[leaves]\n",
            'x = "n2"\n',
            "\\",
            "#",
            '"',
            "[",
            "]",
            "&a ",
            "*a",
            " ",
        ),
    ]
)


@given(
    st.lists(WORDS, max_size=20).map(lambda words: "".join(words).encode())
    | st.binary(max_size=300)
)
def test_whatever_a_file_holds_is_read_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "whatever"
    path.write_bytes(raw)
    with contextlib.suppress(UsageError):
        leaves = leaves_of(str(path))
        hosts = [host for _, under in leaves for host in under]
        assert hosts
        assert len(hosts) == len(set(hosts))
        assert len(leaves) == len({name for name, _ in leaves})


NAMES = st.from_regex(r"[a-z]{1,4}[0-9]{1,3}", fullmatch=True)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1), min_size=1).map(dict), st.data())
def test_a_tree_is_read_back_as_it_was_whichever_way_it_is_written(tmp_path_factory, tree, data):
    seen: set[str] = set()
    leaves = []
    for name, hosts in tree.items():
        own = tuple(dict.fromkeys(host for host in hosts if host not in seen))
        seen |= set(own)
        leaves += [(name, own)] if own else []
    everybody = ",".join(sorted(seen))
    shown = [f"SwitchName={n} Level=0 LinkSpeed=1 Nodes={','.join(h)}" for n, h in leaves]
    shown.append(f"SwitchName=top Level=1 LinkSpeed=1 Nodes={everybody} Switches=all")
    yaml = ["- topology: t", "  tree:", "    switches:", "    - {switch: top, children: all}"]
    yaml += [f'    - {{switch: "{n}", nodes: "{",".join(h)}"}}' for n, h in leaves]
    text = data.draw(
        st.sampled_from(["\n".join(data.draw(st.permutations(shown))), "\n".join(yaml)])
    )
    path = tmp_path_factory.getbasetemp() / "tree"
    path.write_text(text)
    assert sorted(leaves_of(str(path))) == sorted(leaves)


# Slurm itself -----------------------------------------------------------------------------------------


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """`scontrol(script)`: a stand-in that notes how it was called."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "scontrol"

    def write(script):
        path.write_text(f'#!/bin/sh\necho "$*/$SLURM_TOPO_LEN" >> {tmp_path}/asked\n{script}\n')
        path.chmod(0o755)

    return write


def test_slurm_is_asked_for_its_topology_with_whole_lines(tmp_path, scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_TOPO_LEN", "20")
    scontrol(f"cat <<'end'\n{SHOWN}end")
    assert leaves_of("slurm") == LEAVES
    assert leaves_of("slurm:fabric") == LEAVES
    assert (tmp_path / "asked").read_text() == "show topology/\nshow topology fabric/\n"


def test_what_slurm_does_not_say_is_an_error_in_its_words(scontrol, monkeypatch):
    scontrol("echo 'slurm_load_topo error: no topology' >&2; exit 1")
    with pytest.raises(NotMeasuredError, match="slurm_load_topo error: no topology"):
        leaves_of("slurm")
    scontrol("true")
    with pytest.raises(NotMeasuredError, match="it printed nothing"):
        leaves_of("slurm")
    scontrol("echo 'SwitchName=s0 Level=0 LinkSpeed=1'")
    with pytest.raises(UsageError, match="--leaves slurm: names no leaf with hosts"):
        leaves_of("slurm")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotMeasuredError, match="scontrol is not on the path"):
        leaves_of("slurm")


def test_a_file_called_slurm_is_named_by_its_path():
    assert [asks_slurm(typed) for typed in ("slurm", "slurm:x", "./slurm", "slurm.conf", None)] == [
        *(True, True, False, False, False)
    ]
