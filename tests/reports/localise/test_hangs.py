"""A search for who hangs ends with the hosts at fault, or says that it is the number, or why nobody is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import UsageError
from railgauge_reports.localise.hangs import HangOutcome, HangSearch, Trial


def hosts(count: int, name: str = "n") -> tuple[str, ...]:
    return tuple(f"{name}{k}" for k in range(count))


def searched(
    search: HangSearch, hangs: Callable[[tuple[str, ...]], bool]
) -> tuple[HangOutcome, list[Trial]]:
    """Run trials as a cluster would, those of a batch side by side."""
    ran: list[Trial] = []
    while search.outcome is None:
        batch = search.next_groups()
        assert batch
        everybody = [host for trial in batch for host in trial.hosts]
        assert len(set(everybody)) == len(everybody)  # disjoint
        for trial in batch:
            assert len(trial.hosts) >= 2
            ran.append(trial)
            search.record(trial, hangs(trial.hosts))
    assert search.next_groups() == ()
    assert search.outcome.trials == len(ran)
    return search.outcome, ran


@given(st.data())
def test_bad_hosts_are_found_whatever_their_number_and_the_others_are_not_accused(data):
    count = data.draw(st.integers(3, 70))
    bad = data.draw(st.sets(st.sampled_from(hosts(count)), min_size=1, max_size=min(3, count - 2)))
    spare = hosts(data.draw(st.sampled_from([0, 1, 4, count, 2 * count])), "spare")
    outcome, _ = searched(HangSearch(hosts(count), spare), lambda job: bool(bad & set(job)))
    if outcome.kind == "class":  # the last two, and nobody else to tell them apart
        assert bad & set(outcome.culprits)
    else:
        assert outcome.kind == "nodes"
        assert set(outcome.culprits) == bad
        assert not bad & set(outcome.cleared)


def test_one_bad_host_of_64_costs_a_logarithm_of_trials_and_clears_the_rest():
    outcome, ran = searched(HangSearch(hosts(64)), lambda job: "n37" in job)
    assert outcome.culprits == ("n37",)
    assert set(outcome.cleared) == set(hosts(64)) - {"n37"}
    assert len(ran) <= 2 * 6 + 3  # the last one: it hangs among as many as passed without it
    assert "n37 made every job hang" in outcome.sentence()


def test_padding_keeps_the_scale_so_that_a_hang_of_one_host_at_scale_is_found():
    # n5 hangs in a job of all 16 only: halves without padding would all pass
    outcome, ran = searched(
        HangSearch(hosts(16), hosts(16, "spare")), lambda job: "n5" in job and len(job) >= 16
    )
    assert (outcome.kind, outcome.culprits) == ("nodes", ("n5",))
    assert {len(trial.hosts) for trial in ran[:-1]} == {16}
    assert all(trial.short == 0 for trial in ran[:-1])


def test_with_enough_good_hosts_both_halves_run_at_the_same_time():
    search = HangSearch(hosts(8), hosts(8, "spare"))
    assert [trial.suspects for trial in search.next_groups()] == [hosts(8)[:4], hosts(8)[4:]]
    assert len(HangSearch(hosts(8), hosts(7, "spare")).next_groups()) == 1


@pytest.mark.parametrize("least", [9, 13, 16])
def test_a_hang_of_the_number_accuses_nobody(least):
    outcome, ran = searched(HangSearch(hosts(16), ("spare0",)), lambda job: len(job) >= least)
    assert (outcome.kind, outcome.culprits, outcome.smallest) == ("only at scale", (), least)
    assert len(ran) <= 9 + -(-16 // (17 - least))
    assert f"{least} nodes hang whoever is left out" in outcome.sentence()


@pytest.mark.parametrize("least", [9, 10, 13, 15])
@pytest.mark.parametrize("bad", ["n0", "n5", "n8", "n12", "n15"])
def test_a_host_that_hangs_only_at_scale_is_found_without_any_spare_host(bad, least):
    outcome, ran = searched(HangSearch(hosts(16)), lambda job: bad in job and len(job) >= least)
    assert (outcome.kind, outcome.culprits) == ("nodes", (bad,))
    assert set(outcome.cleared) == set(hosts(16)) - {bad}
    # who is left out leaves a job that is large enough
    assert all(len(trial.hosts) >= least for trial in ran if trial.why.startswith("without"))


@given(st.data())
def test_at_scale_nobody_is_accused_who_is_not_at_fault(data):
    count = data.draw(st.integers(4, 40))
    least = data.draw(st.integers(2, count))
    bad = data.draw(st.sets(st.sampled_from(hosts(count)), max_size=2))
    outcome, _ = searched(
        HangSearch(hosts(count)),
        lambda job: (not bad or bool(bad & set(job))) and len(job) >= least,
    )
    if outcome.kind != "class":
        assert set(outcome.culprits) <= bad
    if outcome.kind == "nodes":
        assert set(outcome.culprits) == bad


def test_where_all_hosts_are_needed_nobody_is_accused():
    outcome, _ = searched(HangSearch(hosts(16)), lambda job: "n5" in job and len(job) >= 16)
    assert (outcome.kind, outcome.culprits, outcome.cleared) == ("undecided", (), ())
    assert "a node cannot be told from the number" in outcome.sentence()


def test_two_that_hang_at_scale_each_by_itself_in_one_block_are_both_found():
    outcome, _ = searched(
        HangSearch(hosts(16)), lambda job: bool({"n1", "n3"} & set(job)) and len(job) >= 9
    )
    assert (outcome.kind, set(outcome.culprits)) == ("nodes", {"n1", "n3"})


def test_two_hosts_that_hang_only_with_each_other_are_told_together():
    outcome, _ = searched(HangSearch(hosts(16)), lambda job: {"n2", "n12"} <= set(job))
    assert (outcome.kind, set(outcome.culprits)) == ("together", {"n2", "n12"})
    padded, _ = searched(
        HangSearch(hosts(16), hosts(16, "spare")), lambda job: {"n2", "n12"} <= set(job)
    )
    assert (padded.kind, set(padded.culprits)) == ("together", {"n2", "n12"})


def test_what_passes_the_second_time_is_not_reproduced():
    outcome, ran = searched(HangSearch(hosts(8)), lambda _job: False)
    assert (outcome.kind, outcome.culprits) == ("not reproduced", ())
    assert ran[-1].suspects == hosts(8)


def test_a_host_that_hangs_once_and_then_passes_is_called_so():
    seen = []

    def hangs(job: tuple[str, ...]) -> bool:
        seen.append(job)
        return "n1" in job and len([j for j in seen if "n1" in j]) <= 3

    outcome, _ = searched(HangSearch(hosts(4), hosts(6, "spare")), hangs)
    assert outcome.intermittent == ("n1",) or outcome.culprits == ("n1",)
    assert "n1" in outcome.sentence()


def test_two_hosts_without_any_other_are_a_class():
    outcome, ran = searched(HangSearch(("x", "y")), lambda job: "x" in job)
    assert (outcome.kind, outcome.culprits, ran) == ("class", ("x", "y"), [])
    assert "one of x, y" in outcome.sentence()


def test_a_single_host_is_verified_among_other_partners():
    _, ran = searched(HangSearch(hosts(4), hosts(9, "spare")), lambda job: "n3" in job)
    alone = [trial.padding for trial in ran if trial.suspects == ("n3",)]
    assert len(alone) == 2
    assert not set(alone[0]) & set(alone[1])


def test_what_cannot_be_searched_and_a_foreign_trial_are_refused():
    for suspects, good in ((("a",), ()), (("a", "a"), ()), (("a", "b"), ("b",))):
        with pytest.raises(UsageError, match="cannot be searched"):
            HangSearch(suspects, good)
    search = HangSearch(hosts(4))
    with pytest.raises(ValueError, match="next_groups"):
        search.record(Trial(("n9",), (), 4, ""), True)
