"""How verdicts combine: tables, and the few lines that read them.

A verdict is a word and the exit code that a command ends with (`railgauge.errors`). Fail closed: what was
asked for and is not there never passes, and a figure that is missing is no success.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from railgauge.errors import (
    EXIT_FAIL,
    EXIT_HANG,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_WRONG_DATA,
)


class Verdict(msgspec.Struct, frozen=True):
    """PASS, FAIL, ERROR, SKIP, INCONCLUSIVE or INTERRUPTED; two kinds of FAIL and of ERROR differ in code."""

    word: str
    exit_code: int


PASS = Verdict("PASS", EXIT_PASS)
FAIL = Verdict("FAIL", EXIT_FAIL)
WRONG = Verdict("FAIL", EXIT_WRONG_DATA)
HANG = Verdict("ERROR", EXIT_HANG)
ERROR = Verdict("ERROR", EXIT_NOT_MEASURED)
INCONCLUSIVE = Verdict("INCONCLUSIVE", EXIT_INCONCLUSIVE)
INTERRUPTED = Verdict("INTERRUPTED", EXIT_INTERRUPTED)
#: Left out: for no reason that the profile knows, or because there is nothing of the kind.
SKIP = Verdict("SKIP", EXIT_INCONCLUSIVE)
NOTHING_TO_TEST = Verdict("SKIP", EXIT_PASS)

#: The worst decides, in this order: bad data spoils every figure; what is not at its end can be resumed.
ORDER = (
    WRONG,
    INTERRUPTED,
    HANG,
    FAIL,
    ERROR,
    INCONCLUSIVE,
    SKIP,
    NOTHING_TO_TEST,
    PASS,
)
#: What a stage's verdict counts as in the whole: (where the profile requires it, where not).
COUNTS_AS: dict[Verdict, tuple[Verdict, Verdict]] = {
    PASS: (PASS, PASS),
    NOTHING_TO_TEST: (NOTHING_TO_TEST, NOTHING_TO_TEST),
    SKIP: (INCONCLUSIVE, NOTHING_TO_TEST),
    INCONCLUSIVE: (INCONCLUSIVE, NOTHING_TO_TEST),
    ERROR: (ERROR, NOTHING_TO_TEST),
    FAIL: (FAIL, FAIL),
    HANG: (HANG, HANG),
    WRONG: (WRONG, WRONG),
    INTERRUPTED: (INTERRUPTED, INTERRUPTED),
}
#: What a finding of that verdict becomes under a waiver that holds: nobody accepts wrong data or a hang.
WAIVED: dict[Verdict, Verdict] = {FAIL: PASS, INCONCLUSIVE: PASS, SKIP: NOTHING_TO_TEST}
_BY_CODE = {
    verdict.exit_code: verdict for verdict in (PASS, FAIL, WRONG, HANG, ERROR, INCONCLUSIVE)
} | {EXIT_INTERRUPTED: INTERRUPTED}


def of_code(exit_code: int) -> Verdict:
    """The verdict of a run that ended with this code; what is unknown could not measure."""
    return _BY_CODE.get(exit_code, ERROR)


def worst(verdicts: Iterable[Verdict], order: Sequence[Verdict] = ORDER) -> Verdict:
    """The one that decides, which comes first in the order; PASS of none."""
    return min(verdicts, key=order.index, default=PASS)


def whole(stages: Iterable[tuple[Verdict, bool]]) -> Verdict:
    """The verdict of an acceptance, of its stages' verdicts and whether they are required.

    Without any stage that passed there is nothing that could be accepted.
    """
    counted = [COUNTS_AS[verdict][not required] for verdict, required in stages]
    found = worst(counted)
    if ORDER.index(found) > ORDER.index(INCONCLUSIVE) and PASS not in counted:
        return INCONCLUSIVE
    return PASS if found in (SKIP, NOTHING_TO_TEST) else found
