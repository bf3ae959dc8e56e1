"""Acceptance of a cluster: a profile of stages is run, held against its limits, and judged as a whole.

`profile` (profiles/*.toml) says what is asked, `kinds` what a stage of a kind measures, `metrics` what can be
limited, `waivers` what is accepted all the same, `algebra` how verdicts combine. `planning` makes plans of
`railgauge run`, `cost` prices them, `drive` runs them into one folder (`kept`: its accept.json), `follow_ups`
looks closer at what is suspected. `judge` reads the folder, with `limits`, `local` (who is at fault) and
`coverage`; `answer` is the result, `checklist` what a buyer asks, `show` words.
"""

from __future__ import annotations

from pathlib import Path

KEPT = "accept.json"


def is_acceptance(folder: Path) -> bool:
    """Does the folder hold an acceptance, and not a run?"""
    return (folder / KEPT).exists()
