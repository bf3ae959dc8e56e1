"""What is lost: processor-hours and money a day of a shortfall, and energy by GB moved.

Of a job that spends the share c of its time in communication that is slower than it should be by the
share s of its bandwidth, c * s of its time is lost: the time that communication takes is inverse to
bandwidth, so 1 - (1 - s) = s of it would go away. N processors lose N * 24 * c * s hours a day.
"""

from __future__ import annotations

import dataclasses

import pandas as pd

from railgauge_reports.judged import Shortfall
from railgauge_reports.loaded import LoadedRun

#: Shares of a job's time in communication that are told; how much it is, a job knows.
SHARES = (0.1, 0.25, 0.5, 1.0)
HOURS = 24
MILLI = 1e-3


@dataclasses.dataclass(frozen=True)
class Cost:
    """`rows` are (share of a job's time in communication, hours lost a day, money a day or None)."""

    noun: str
    processors: int
    rows: tuple[tuple[float, float, float | None], ...]


def cost_of(run: LoadedRun, shortfall: Shortfall) -> Cost:
    """What the shortfall costs on the processors of this run, if all of them work all day."""
    noun = "GPU" if run.stored.gpus or run.simulated else "rank"
    count = len({gpu["uuid"] for gpu in run.stored.gpus.values()}) or run.stored.last.ranks
    price = run.asked.price
    hours = [(share, count * HOURS * share * shortfall.share) for share in SHARES]
    return Cost(
        noun,
        count,
        tuple((share, lost, None if price is None else lost * price) for share, lost in hours),
    )


def energy_frame(counters: pd.DataFrame) -> pd.DataFrame:
    """Energy of GPUs by case, from `counters.counter_frame`; empty where no power was read.

    Columns: operation, nbytes, `gpus`, `joules` of all, `watts` (mean of a GPU over the case, warm-up
    included), `joules_per_GB` that a rank moved (mean over the GPUs; idle power is in it).
    """
    read = counters[(counters["source"] == "nvml") & (counters["counter"] == "energy")]
    read = read[read["delta"].notna()]
    read = read.assign(place=read["host"] + " " + read["device"])
    by_case = read.groupby(["case", "operation", "nbytes"], sort=False)
    made = pd.DataFrame(
        {
            "gpus": by_case["place"].nunique(),
            "joules": by_case["delta"].sum() * MILLI,
            "watts": by_case["per_second"].mean() * MILLI,
            "joules_per_GB": by_case["per_GB"].mean() * MILLI,
        }
    )
    return made.reset_index()
