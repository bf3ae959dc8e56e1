"""A profile: what an acceptance measures and what is good enough, read from TOML.

Every figure of a limit is a share of something that is measured or expected, and says where it is from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from railgauge.decoding import told
from railgauge.errors import UsageError, unknown
from railgauge.plan import Plan
from railgauge.units import parse_size, parse_sizes
from railgauge_reports.acceptance import checklist, profiles
from railgauge_reports.acceptance.kinds import KINDS
from railgauge_reports.acceptance.metrics import METRICS, Of
from railgauge_reports.lossless.catalogue import check_profile

MOST_BYTES = 1 << 20
#: Transients: one measurement in a hundred is slower by 10 to 30 % (assumed of fabrics here, and by the
#: simulator's default noise); a fleet with five times as many is not steady enough to be judged.
SCATTER = 0.05
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Words = Annotated[str, Meta(min_length=1, max_length=2000)]
Share = Annotated[float, Meta(gt=0, le=100)]
Per = Literal["row", "case", "run", "node", "nic", "leaf pair"]
#: Fields of a plan that the command line decides, of all stages alike.
NOT_A_STAGES = (
    *("ranks", "ranks_per_node", "backend", "cluster", "faults", "leaves", "pairs"),
    *("group_nodes", "functional"),
)


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `metric` over its reference `of` must be `at_least` or `at_most` this share.

    It is judged `per` row, or by the median over all rows of a case, an operation in a run (whatever the
    size), node, NIC (node and rail) or pair of leaves. The median bears a single slow sample; `scatter` is
    the share of rows that may miss the limit on nobody's account before the stage is called unstable (None:
    5 %, and 0 where each row is judged). `operation` and `from_bytes` choose rows.
    """

    metric: str
    of: Of
    at_least: Share | None = None
    at_most: Share | None = None
    per: Per = "row"
    operation: str | None = None
    from_bytes: int | str = 0
    scatter: Annotated[float, Meta(ge=0, le=1)] | None = None
    source: Words

    @property
    def name(self) -> str:
        """`busbw-of-median`: as findings and waivers call it."""
        return f"{self.metric}-of-{self.of}"

    @property
    def share(self) -> float:
        return self.at_least if self.at_least is not None else self.at_most or 0.0

    @property
    def bearable(self) -> float:
        """The scatter that holds."""
        if self.scatter is not None:
            return self.scatter
        return 0.0 if self.per == "row" else SCATTER

    @property
    def smallest(self) -> int:
        """Bytes of the smallest message that it is for."""
        text = self.from_bytes
        return parse_size(text, "from_bytes") if isinstance(text, str) else text

    def missed(self, ratio: float) -> bool:
        """Is a ratio beyond the limit? NaN is nobody's success: ask before whether there is a value."""
        return not ratio >= self.share if self.at_least is not None else not ratio <= self.share


class RunSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the runs of a stage, instead of those that its kind has."""

    name: Name
    plan: dict[str, Any]


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`plan` are fields of `railgauge run`'s plan that replace those of the kind.

    A stage that is not `required` may be left out or come to no answer; what it finds counts. `scales` are
    the numbers of nodes of a sweep (None: 1, 2, 4 ... all). `checklist`: items it answers besides its kind's.
    """

    name: Name
    kind: str
    about: Words | None = None
    required: bool = True
    plan: dict[str, Any] = {}
    runs: tuple[RunSpec, ...] = ()
    scales: tuple[Annotated[int, Meta(ge=1, le=1 << 20)], ...] | None = None
    limits: tuple[Limit, ...] = ()
    checklist: tuple[str, ...] = ()


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`fabric` is what the rules judge it as (None: as its ports suggest); `plan` is of all stages."""

    about: Words
    fabric: str | None = None
    plan: dict[str, Any] = {}
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1, max_length=100)]


def read_text(text: str) -> tuple[str, str]:
    """(name, TOML text) of a profile that ships, or of a file; raises UsageError."""
    path = profiles.path_of(text)
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UsageError(f"PROFILE {path}: longer than {MOST_BYTES} B")
        return path.stem, raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"PROFILE {text}: cannot be read ({getattr(error, 'strerror', None) or error}).\n"
            f"  expected: a TOML file, or a name that ships: {', '.join(profiles.names())}\n"
            "  next: railgauge accept quick --dry-run"
        ) from None


def parse(name: str, text: str) -> Profile:
    """The checked profile of a TOML text; raises UsageError that names the field."""
    try:
        profile = msgspec.toml.decode(text, type=Profile)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"PROFILE {name}: {told(error, Profile)}\n  next: correct the file"
        ) from None
    if profile.fabric is not None:
        check_profile(profile.fabric)
    _check_plan(name, "plan", profile.plan)
    seen: set[str] = set()
    for number, stage in enumerate(profile.stages):
        where = f"stages[{number}]"
        if stage.name in seen:
            _refuse(name, f"{where}.name", stage.name, "a name of its own")
        seen.add(stage.name)
        _check_stage(name, where, stage)
    return profile


def _check_stage(name: str, where: str, stage: Stage) -> None:
    if stage.kind not in KINDS:
        raise unknown(f"kind of PROFILE {name}: {where}.kind", stage.kind, KINDS, "edit the file")
    kind = KINDS[stage.kind]
    _check_plan(name, f"{where}.plan", stage.plan)
    for number, run in enumerate(stage.runs):
        _check_plan(name, f"{where}.runs[{number}].plan", run.plan)
    if len({run.name for run in stage.runs}) < len(stage.runs):
        _refuse(name, f"{where}.runs", "two of one name", "names of their own")
    if not kind.runs and (stage.plan or stage.runs or stage.limits):
        _refuse(name, where, "a plan, runs or limits", f"none of them: {stage.kind} has no run")
    if stage.scales is not None and not kind.scaled:
        _refuse(name, f"{where}.scales", stage.scales, "a stage of kind sweep")
    for number, limit in enumerate(stage.limits):
        _check_limit(name, f"{where}.limits[{number}]", limit)
    for item in stage.checklist:
        if item not in checklist.items():
            raise unknown(
                f"item of PROFILE {name}: {where}.checklist",
                item,
                checklist.items(),
                "edit the file",
            )


def _check_limit(name: str, where: str, limit: Limit) -> None:
    if limit.metric not in METRICS:
        raise unknown(
            f"metric of PROFILE {name}: {where}.metric", limit.metric, METRICS, "edit the file"
        )
    metric = METRICS[limit.metric]
    if limit.of not in metric.of:
        _refuse(name, f"{where}.of", limit.of, f"of {limit.metric}: {', '.join(metric.of)}")
    side = "at_least" if metric.larger_is_better else "at_most"
    other = "at_most" if metric.larger_is_better else "at_least"
    if getattr(limit, other) is not None or getattr(limit, side) is None:
        better = "larger" if metric.larger_is_better else "smaller"
        _refuse(name, f"{where}.{side}", None, f"a share; of {limit.metric} {better} is better")
    if limit.of != "expected" and (limit.share > 1) == metric.larger_is_better:
        why = f"{'at most' if metric.larger_is_better else 'at least'} 1"
        if limit.share != 1:
            _refuse(name, f"{where}.{side}", limit.share, f"{why}: half lies beyond its median")
    if limit.operation is not None:
        from railgauge.operations import operation_named

        operation_named(limit.operation)
    if limit.smallest < 0:
        _refuse(name, f"{where}.from_bytes", limit.from_bytes, "a size, as in 16M")


def _check_plan(name: str, where: str, fields: dict[str, Any]) -> None:
    for field in fields:
        if field in NOT_A_STAGES:
            _refuse(name, f"{where}.{field}", fields[field], "an option of railgauge accept")
        if field not in Plan.__struct_fields__:
            allowed = [known for known in Plan.__struct_fields__ if known not in NOT_A_STAGES]
            raise unknown(f"field of PROFILE {name}: {where}", field, allowed, "edit the file")
    try:
        msgspec.convert({"ranks": 2} | plan_fields(fields), Plan)
    except UsageError as error:
        raise UsageError(f"PROFILE {name}: {where}: {error}") from None
    except msgspec.ValidationError as error:
        raise UsageError(
            f"PROFILE {name}: {where}: {told(error, Plan)}\n  next: correct the file"
        ) from None


def plan_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a plan; sizes may be written as on the command line (`1M:1G:8`)."""
    sizes = fields.get("sizes")
    if isinstance(sizes, str):
        return {**fields, "sizes": parse_sizes(sizes, 2.0)}
    if isinstance(sizes, list) and any(isinstance(size, str) for size in sizes):
        return {**fields, "sizes": parse_sizes(",".join(map(str, sizes)), 2.0)}
    return fields


def _refuse(name: str, field: str, found: object, expected: str) -> NoReturn:
    raise UsageError(
        f"PROFILE {name}: {field} = {found!r} does not fit.\n"
        f"  expected: {expected}\n  next: correct the file"
    )


def overridden(profile: Profile, words: tuple[str, ...]) -> Profile:
    """The profile with `STAGE.FIELD=VALUE` set, as --set has them; raises UsageError."""
    stages = {stage.name: stage for stage in profile.stages}
    for word in words:
        place, equals, text = word.partition("=")
        name, dot, field = place.partition(".")
        if not (equals and dot and field):
            raise UsageError(
                f"--set {word}: expected STAGE.FIELD=VALUE.\n  next: --set soak.duration=600"
            )
        if name not in stages:
            raise unknown("stage of --set", name, stages, "railgauge accept PROFILE --dry-run")
        try:
            value = text if field == "sizes" else msgspec.toml.decode(f"value = {text}")["value"]
        except msgspec.DecodeError:
            value = text
        plan = {**stages[name].plan, field: value}
        _check_plan(f"--set {word}", name, {field: value})
        stages[name] = msgspec.structs.replace(stages[name], plan=plan)
    return msgspec.structs.replace(profile, stages=tuple(stages.values()))


def folder_name(number: int, stage: Stage) -> str:
    """`02-pairs`: the folder of a stage."""
    return f"{number + 1:02d}-{stage.name}"
