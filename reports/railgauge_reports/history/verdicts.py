"""The gate's verdicts, and which of them decides. A word and the exit code of `railgauge gate`."""

from __future__ import annotations

from collections.abc import Iterable

from railgauge.errors import EXIT_FAIL, EXIT_HANG, EXIT_INCONCLUSIVE, EXIT_WRONG_DATA
from railgauge_reports.acceptance import algebra
from railgauge_reports.acceptance.algebra import Verdict

PASS, INCONCLUSIVE = algebra.PASS, algebra.INCONCLUSIVE
REGRESSION = Verdict("REGRESSION", EXIT_FAIL)
#: A run of the night delivered something else than it must, or hung: worse than slow, and no matter of noise.
WRONG = Verdict("WRONG DATA", EXIT_WRONG_DATA)
HANG = Verdict("HANG", EXIT_HANG)
CHANGED = Verdict("CHANGED", EXIT_INCONCLUSIVE)
UNCONFIRMED = Verdict("UNCONFIRMED", EXIT_INCONCLUSIVE)
LEARNING = Verdict("LEARNING", EXIT_INCONCLUSIVE)

#: The first that is found decides.
ORDER = (WRONG, REGRESSION, HANG, CHANGED, UNCONFIRMED, INCONCLUSIVE, LEARNING, PASS)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that decides; PASS of none."""
    return algebra.worst(verdicts, ORDER)
