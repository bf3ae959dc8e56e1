"""The rounds that verify suspects, as `railgauge run --pattern listed --pairs FILE` reads them."""

from __future__ import annotations

from railgauge_reports.loaded import LoadedRun
from railgauge_reports.suspected import suspected


def render(run: LoadedRun) -> str:
    """Lines of round and two hosts, under a comment that says what they are to show."""
    found = suspected(run)
    if found.verification is None:
        return "# no pairs were measured: nobody is suspected, and there is nothing to verify\n"
    if not found.verification.rounds:
        why = found.verification.short or "nobody is suspected"
        return f"# nothing to verify: {why}\n"
    targets = [found.verification.names[node] for node in found.verification.targets]
    head = f"# {', '.join(targets) or 'paths between leaves'}: against nodes known to be good"
    return f"{head}\n{found.verification.text()}"
