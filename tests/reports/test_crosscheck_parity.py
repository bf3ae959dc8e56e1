"""The bar: paired ratios, their intervals and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from railgauge_reports.crosscheck import parity
from railgauge_reports.crosscheck.interleave import Interleaved, batches
from railgauge_reports.crosscheck.pairing import Figures, Size
from railgauge_reports.crosscheck.parity import Round, Row, exit_code, judge, verdict
from railgauge_reports.crosscheck.peers import osu
from railgauge_reports.crosscheck.table import lines

NARROW = (0.99, 1.01)
OPTIONS = frozenset({"type", "tail-lat", "full"})


def rounds(ours: Sequence[float], peer: Sequence[float], again: Sequence[float]) -> list[Round]:
    return [
        Round(Figures(p, p, p, 1e-10), Figures(o, o, o), Figures(a, a, a, 1e-10))
        for o, p, a in zip(ours, peer, again, strict=True)
    ]


def noisy(middle: float, n: int = 12, seed: int = 0) -> list[float]:
    return list(middle * np.random.default_rng(seed).normal(1, 0.002, n))


def test_parity_is_an_interval_around_one_that_ends_within_the_margin() -> None:
    assert verdict((0.99, 1.02), NARROW) == parity.PARITY
    assert verdict((0.99, 1.021), NARROW) == parity.UNDECIDED
    assert verdict((1.001, 1.015), NARROW) == parity.SLOWER
    assert verdict((1.10, 1.20), NARROW) == parity.SLOWER


def test_parity_is_also_an_upper_end_no_higher_than_the_peers_against_itself() -> None:
    assert verdict((0.95, 1.08), (0.93, 1.08)) == parity.PARITY
    assert verdict((0.95, 1.09), (0.93, 1.08)) == parity.UNDECIDED
    assert verdict((1.05, 1.08), (0.93, 1.09)) == parity.SLOWER  # without 1.00 there is no parity


def test_to_be_faster_is_no_failure() -> None:
    assert verdict((0.80, 0.90), NARROW) == parity.FASTER


def test_a_ratio_is_paired_round_by_round_so_that_a_change_of_speed_cancels() -> None:
    speed = np.array([1, 1, 1, 5, 5, 5, 1, 5, 1, 5, 1, 5]) * 1e-6
    row = judge(8, 8, rounds(list(speed), list(speed), list(speed)), 100, seed=1)
    assert (row.ratio_low, row.ratio, row.ratio_high) == (1, 1, 1)
    assert row.verdict == parity.PARITY


def test_an_interval_is_the_same_for_the_same_seed() -> None:
    made = rounds(noisy(1.01e-6, seed=1), noisy(1e-6, seed=2), noisy(1e-6, seed=3))
    assert judge(8, 8, made, 100, seed=1) == judge(8, 8, made, 100, seed=1)
    assert judge(8, 8, made, 100, seed=1).verdict == parity.SLOWER


def test_the_bootstrap_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        _, low, high = parity.median_interval(random.normal(1, 0.01, 24), random)
        held += low <= 1 <= high
    assert held >= 180


def test_a_row_that_the_peer_prints_too_coarsely_neither_passes_nor_fails() -> None:
    coarse = [Round(Figures(1.6e-7, resolution=1e-8), Figures(2e-7), Figures(1.6e-7))] * 12
    row = judge(8, 8, coarse, 100, seed=1)
    assert row.verdict == parity.NOT_RESOLVABLE
    assert "6.2%" in row.reason or "6.3%" in row.reason
    assert exit_code([row]) == 6


def test_a_peer_that_prints_zero_is_not_resolvable_and_has_no_ratio() -> None:
    zero = Figures(0.0, resolution=1e-8)
    row = judge(8, 8, [Round(zero, Figures(2e-7), zero)] * 12, 100, seed=1)
    assert (row.verdict, row.ratio) == (parity.NOT_RESOLVABLE, None)


def test_fewer_than_six_rounds_give_no_verdict() -> None:
    row = judge(8, 8, rounds([1e-6] * 5, [1e-6] * 5, [1e-6] * 5), 100, seed=1)
    assert row.verdict == parity.TOO_FEW
    assert exit_code([row]) == 6


def test_averages_and_minima_are_compared_where_both_sides_have_them() -> None:
    made = [Round(Figures(1.0, 2.0, None), Figures(1.0, 3.0, 4.0), Figures(1.0))] * 12
    row = judge(8, 8, made, 100, seed=1)
    assert (row.ratio_avg, row.ratio_min) == (1.5, None)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([parity.PARITY, parity.FASTER], 0),
        ([parity.PARITY, parity.NOT_RESOLVABLE], 6),
        ([parity.PARITY, parity.SLOWER], 1),
        ([parity.UNDECIDED], 1),
        ([parity.NOT_RESOLVABLE], 6),
        ([parity.PARITY, parity.NOT_MEASURED], 3),
    ],
)
def test_the_exit_code_passes_only_where_every_size_was_judged(
    verdicts: list[str], code: int
) -> None:
    assert exit_code([Row(nbytes=8, peer_nbytes=8, verdict=word) for word in verdicts]) == code


class StandIn:
    """Launches without processes: the peer prints `printed`, ours takes as long as `seconds`."""

    def __init__(self, printed: Callable[[int], Figures | None], seconds: float) -> None:
        self.printed, self.seconds = printed, seconds
        self.order: list[str] = []

    def peer_figures(
        self, _pairing: Any, sizes: Sequence[Size], *more: Any
    ) -> Mapping[int, Figures]:
        self.order.append(Path(more[-1]).stem)
        found = {size.peer: self.printed(size.peer) for size in sizes}
        return {size: figures for size, figures in found.items() if figures}

    def our_series(self, _pairing: Any, sizes: Sequence[Size], *_more: Any) -> Mapping[int, Any]:
        self.order.append("ours")
        return {size.nbytes: np.full((2, 10), self.seconds) for size in sizes}


def interleaved(stand_in: StandIn, folder: Path, seed: int = 1) -> list[Row]:
    paired = osu.pairing("osu_allgather", None, OPTIONS)
    plan = batches(paired, paired.sizes([8, 64, 1 << 20], 2), 100, osu.reachable)
    run = Interleaved(stand_in, paired, OPTIONS, plan, folder, seed)  # type: ignore[arg-type]
    return run.run(6, lambda: None)


def test_every_round_runs_peer_ours_and_the_peer_again_in_a_seeded_order(tmp_path: Path) -> None:
    first = StandIn(lambda _size: Figures(1e-6, 1e-6, 1e-6, 1e-10), 1e-6)
    rows = interleaved(first, tmp_path / "a")
    triples = [tuple(first.order[k : k + 3]) for k in range(0, len(first.order), 3)]
    assert len(triples) == 12  # 6 rounds, 2 launches of each side
    assert all(sorted(triple) == ["again", "ours", "peer"] for triple in triples)
    assert len(set(triples)) > 1
    assert [(row.nbytes, row.peer_nbytes, row.verdict) for row in rows] == [
        (8, 4, "parity"), (64, 32, "parity"), (1 << 20, 1 << 19, "parity"),
    ]  # fmt: skip
    second = StandIn(first.printed, 1e-6)
    interleaved(second, tmp_path / "b")
    assert second.order == first.order


def test_a_size_that_the_peer_drops_is_a_named_gap_and_no_pass(tmp_path: Path) -> None:
    dropping = StandIn(lambda size: Figures(1e-6) if size < 100 else None, 1e-6)
    rows = interleaved(dropping, tmp_path)
    assert rows[2].verdict == parity.NOT_MEASURED
    assert "no row for size 524288" in rows[2].reason
    assert exit_code(rows) == 3


def test_the_table_leaves_empty_what_cannot_be_had() -> None:
    row = Row(nbytes=8, peer_nbytes=8, verdict=parity.NOT_MEASURED, reason="dropped")
    heading, line = lines([row])
    assert "ratio" in heading
    assert line.split() == ["8", "not", "measured:", "dropped"]
