"""What a history lets go, and what it never does."""

import datetime
from pathlib import Path

import pytest

from railgauge.errors import NotMeasuredError
from railgauge_slurm.nightly import nights
from railgauge_slurm.nightly.retention import left_over, prune, pruning, remove, sweep

DAY = 86_400
NOW = datetime.datetime(2026, 11, 26, 7, 0, tzinfo=datetime.timezone.utc).timestamp()


def folders(*ages: float) -> list[Path]:
    """Nights so many days old, the earliest first."""
    return [Path(f"/h/{nights.stamp(NOW - age * DAY)}-nightly") for age in ages]


def made(history: Path, age: float) -> Path:
    folder = nights.make_folder(history, NOW - age * DAY, "nightly")
    (folder / "accept.json").write_text("{}")
    (folder / "01-pairs/samples").mkdir(parents=True)
    return folder


def test_old_nights_lose_their_samples_and_the_oldest_go():
    all_nights = folders(40, 32, 29, 1)
    plan = pruning(all_nights, NOW, keep_days=30, keep_nights=3, needed={})
    assert plan.remove == (all_nights[0],)
    assert plan.thin == (all_nights[1],)
    assert pruning(all_nights, NOW, 0, 4, {}).thin == ()


def test_a_night_that_is_needed_stays_and_says_why():
    all_nights = folders(40, 32, 29, 1)
    plan = pruning(all_nights, NOW, 30, 1, {all_nights[1].name: "flagged"})
    assert plan.remove == (all_nights[0], all_nights[2])
    assert plan.stay == {all_nights[1]: "flagged"}
    assert plan.thin == (all_nights[1],)


def test_a_clock_that_jumps_makes_nothing_old():
    all_nights = folders(10, 1)
    assert pruning(all_nights, NOW + 900 * DAY, 30, 9, {}).thin == ()
    with_a_wrong_one = folders(10, 1, -900)
    assert pruning(with_a_wrong_one, NOW, 30, 9, {}).thin == ()


def test_nothing_but_a_night_is_ever_removed(tmp_path):
    kept = tmp_path / "20261101T020000Z-photos"
    kept.mkdir()
    (kept / "holiday.jpg").write_text("x")
    with pytest.raises(NotMeasuredError, match="not a night"):
        remove(kept)
    assert (kept / "holiday.jpg").exists()


def test_what_cannot_be_read_stays_whole_and_is_named_and_the_rest_goes(tmp_path):
    older, old, new = made(tmp_path, 50), made(tmp_path, 40), made(tmp_path, 1)
    (old / "01-pairs/journal.jsonl").write_bytes(b"\x00\xff")
    plan = pruning([older, old, new], NOW, 30, 2, {})
    done = prune(plan, lambda _: None)
    assert done.removed == (older,)
    assert not older.exists()
    assert (old / "01-pairs/samples").exists()
    assert len(done.failed) == 1
    assert "01-pairs" in done.failed[0]


def test_a_removal_that_was_cut_off_is_finished_the_next_time(tmp_path):
    folder = made(tmp_path, 3)
    folder.rename(tmp_path / f".removing-{folder.name}")
    assert nights.nights_of(tmp_path) == []
    for left in left_over(tmp_path):
        sweep(left)
    assert list(tmp_path.iterdir()) == []


def test_two_nights_of_one_second_have_folders_of_their_own(tmp_path):
    first, second = (nights.make_folder(tmp_path, NOW, "/etc/my profile.toml") for _ in range(2))
    assert first.name == "20261126T070000Z-my-profile"
    assert second.name == f"{first.name}-2"
    assert nights.time_of(first) == nights.time_of(second) == NOW
    assert nights.nights_of(tmp_path) == [first, second]


@pytest.mark.parametrize(
    "name",
    ["20261131T020000Z-x", "20261101-x", "reports", "20261101T020000Z", "x-20261101T020000Z-y"],
)
def test_a_folder_of_another_name_is_no_night(name):
    assert nights.time_of(Path(name)) is None


def test_a_clock_that_runs_backwards_is_told(tmp_path):
    assert nights.backwards(tmp_path / "none", NOW) == ""
    made(tmp_path, 1)
    assert nights.backwards(tmp_path, NOW) == ""
    told = nights.backwards(tmp_path, NOW - 2 * DAY)
    assert "submitted 86400 s later" in told


def test_a_history_that_may_not_be_written_is_an_error_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotMeasuredError, match="file"):
        nights.make_folder(tmp_path / "file", NOW, "nightly")
