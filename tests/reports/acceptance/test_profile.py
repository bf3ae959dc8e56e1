"""Profiles: those that ship can be planned everywhere, and what is wrong in one is named."""

from __future__ import annotations

import pytest

from railgauge.cluster import Cluster
from railgauge.errors import UsageError
from railgauge_reports.acceptance import checklist, profiles
from railgauge_reports.acceptance.kinds import KINDS
from railgauge_reports.acceptance.planning import Asked, planned
from railgauge_reports.acceptance.profile import NOT_A_STAGES, overridden, parse, read_text

STAGE = 'about = "x"\n[[stages]]\nname = "a"\nkind = "pairs"\n'
LIMIT = '[[stages.limits]]\nmetric = "busbw"\nof = "median"\nat_least = 0.9\nsource = "s"\n'
CLUSTER = Cluster(nodes=4)
WHERE = {
    "simulated": Asked(
        backend="simulated",
        ranks=32,
        ranks_per_node=8,
        cluster=CLUSTER,
        leaves=CLUSTER.leaves,
    ),
    "nccl": Asked(backend="nccl", ranks=32, ranks_per_node=8, launcher=("srun",)),
    "mpi": Asked(backend="mpi", ranks=4, ranks_per_node=4),
}


@pytest.mark.parametrize("name", profiles.names())
@pytest.mark.parametrize("backend", WHERE)
def test_what_ships_can_be_planned(name, backend):
    profile = parse(*read_text(name))
    stages = planned(profile, WHERE[backend])
    assert [stage.stage for stage in stages] == list(profile.stages)
    assert any(stage.runs for stage in stages)
    for stage in stages:
        assert bool(stage.runs) != bool(stage.skip) or stage.audits
    assert all(limit.source for stage in profile.stages for limit in stage.limits)


def test_every_kind_answers_an_item_of_the_checklist_and_no_item_an_unknown_kind():
    kinds = {kind for item in checklist.items().values() for kind in item.kinds}
    assert kinds == set(KINDS)
    for item in checklist.items().values():
        assert bool(item.kinds) != bool(item.instead)
        assert bool(item.kinds) == bool(item.test and item.evidence)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "about"),
        ("about = 3", "$.about"),
        ('about = "x"\nstages = []', "$.stages"),
        (STAGE + "colour = 1", "colour"),
        (STAGE.replace("pairs", "paris"), "stages[0].kind"),
        (STAGE.replace('"a"', '"../a"'), "$.stages[0].name"),
        (STAGE + '[[stages]]\nname = "a"\nkind = "local"', "stages[1].name"),
        (STAGE + "[stages.plan]\nsize = 3", "stages[0].plan"),
        (STAGE + "[stages.plan]\nranks = 3", "stages[0].plan.ranks"),
        (STAGE + "[stages.plan]\nrounds = 'x'", "stages[0].plan"),
        (STAGE + '[stages.plan]\nsizes = "8Q"', "stages[0].plan"),
        ("plan = {ranks = 1}\n" + STAGE, "plan.ranks"),
        (STAGE + "scales = [2]", "stages[0].scales"),
        (STAGE + 'checklist = ["sok"]', "stages[0].checklist"),
        (STAGE.replace("pairs", "audit") + LIMIT, "stages[0]"),
        (STAGE + LIMIT.replace("busbw", "bubsw"), "stages[0].limits[0].metric"),
        (STAGE + LIMIT.replace("median", "ideal"), "stages[0].limits[0].of"),
        (STAGE + LIMIT.replace("at_least", "at_most"), "stages[0].limits[0].at_least"),
        (STAGE + LIMIT.replace("0.9", "1.2"), "stages[0].limits[0].at_least"),
        (STAGE + LIMIT.replace("0.9", "nan"), "at_least"),
        (STAGE + LIMIT.replace("0.9", "-1"), "$.stages[0].limits[0].at_least"),
        (STAGE + LIMIT.replace('source = "s"', ""), "source"),
        (STAGE + LIMIT.replace('"s"', '""'), "source"),
        (STAGE + LIMIT + 'from_bytes = "x"', "from_bytes"),
        (STAGE + LIMIT + 'per = "rack"', "per"),
        (STAGE + LIMIT.replace("busbw", "time"), "at_most"),
        ("fabric = 'rose'\n" + STAGE, "rose"),
        ("<script>", "PROFILE"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(text, said):
    with pytest.raises(UsageError) as caught:
        parse("mine", text)
    assert said in str(caught.value)


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"\x00" * 40])
def test_a_file_that_is_no_text_is_refused(tmp_path, raw):
    path = tmp_path / "p.toml"
    path.write_bytes(raw)
    with pytest.raises(UsageError, match="PROFILE"):
        parse(*read_text(str(path)))


def test_a_profile_that_is_not_there_names_those_that_ship():
    with pytest.raises(UsageError, match="full, infiniband, nightly, quick, roce-lossless"):
        read_text("quik")


def test_fields_of_a_stage_are_set_from_the_command_line():
    profile = parse("mine", STAGE)
    made = overridden(profile, ("a.rounds=7", "a.sizes=1M,2M", 'a.operations=["latency"]'))
    assert made.stages[0].plan == {"rounds": 7, "sizes": "1M,2M", "operations": ["latency"]}
    (stage,) = planned(made, WHERE["mpi"])
    assert stage.runs[0].plan.sizes == (1 << 20, 2 << 20)
    assert stage.runs[0].plan.rounds == 7


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("rounds=7", "STAGE.FIELD=VALUE"),
        ("b.rounds=7", "unknown stage of --set 'b'"),
        ("a.round=7", "Did you mean 'rounds'?"),
        ("a.ranks=7", "an option of railgauge accept"),
    ],
)
def test_a_field_that_cannot_be_set_is_named(word, said):
    with pytest.raises(UsageError) as caught:
        overridden(parse("mine", STAGE), (word,))
    assert said in str(caught.value)


def test_scales_that_the_job_has_not_are_left_out_but_for_all_of_it():
    text = STAGE.replace("pairs", "sweep")
    (stage,) = planned(parse("mine", text), WHERE["simulated"])
    assert [run.folder for run in stage.runs] == [f"01-a/nodes000{scale}" for scale in (1, 2, 4)]
    (stage,) = planned(parse("mine", text + "scales = [2, 64]"), WHERE["simulated"])
    assert [run.plan.group_nodes for run in stage.runs] == [2]


def test_a_stage_that_cannot_run_is_an_error_unless_it_is_optional():
    text = STAGE.replace("pairs", "congestion")
    two = Asked(backend="mpi", ranks=2, ranks_per_node=2)
    with pytest.raises(UsageError, match="stage a: --pattern victim needs at least 3"):
        planned(parse("mine", text), two)
    (stage,) = planned(parse("mine", text + "required = false"), two)
    assert "needs at least 3" in stage.skip
    assert not stage.nothing


def test_what_the_command_line_decides_are_fields_of_a_plan():
    from railgauge.plan import Plan

    assert set(NOT_A_STAGES) <= set(Plan.__struct_fields__)
