"""`nightly.toml` of a history: what a night is, when it begins, what is kept. Anybody may edit it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from railgauge.errors import NotMeasuredError, UsageError, unknown
from railgauge.journal import write_synced
from railgauge.option_files import text_of
from railgauge_reports.toml_strings import toml_string
from railgauge_slurm.nightly.schedule import Clock, clock, day

FILE = "nightly.toml"
MOST_BYTES = 1 << 20
Words = Annotated[str, Meta(max_length=4096)]
Count = Annotated[int, Meta(ge=1, le=1 << 20)]
Days = Annotated[int, Meta(ge=0, le=36_500)]
Minutes = Annotated[int, Meta(ge=1, le=30 * 24 * 60)]
DRAIN = ("advise", "apply", "off")


class Nightly(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty texts are left out. `weekly` is the day of the deep night, "never" for none.

    `sets` are STAGE.FIELD=VALUE of `railgauge accept --set`, `variables` what the night's jobs find in
    their environment, `options` further words of `railgauge slurm submit` ("--container=x.sqsh"). `price`
    is of a GPU-hour, `max_drain` a share of the partition in percent.
    """

    nodes: Count
    ranks_per_node: Count = 1
    gpus_per_node: Words = ""
    partition: Words = ""
    account: Words = ""
    qos: Words = ""
    reservation: Words = ""
    exclude: Words = ""
    constraint: Words = ""
    backend: Words = "mpi"
    mpi: Words = ""
    cluster: Words = ""
    leaves: Words = ""
    profile: Words = "nightly"
    deep: Words = "full"
    sets: tuple[Words, ...] = ()
    variables: dict[str, Words] = {}
    waivers: Words = ""
    at: Words = "02:00"
    morning: Words = "07:00"
    weekly: Words = "sun"
    adaptive: bool = True
    options: tuple[Words, ...] = ()
    minutes: Minutes = 30
    deep_minutes: Minutes = 360
    keep: Days = 30
    keep_nights: Count = 400
    price: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    drain: Words = "advise"
    max_drain: Annotated[float, Meta(gt=0, le=100)] = 2.0

    @property
    def night_at(self) -> Clock:
        return clock(self.at, "at")

    @property
    def morning_at(self) -> Clock:
        return clock(self.morning, "morning")

    @property
    def deep_day(self) -> str:
        """`sun`; "" where no night is a deep one."""
        return "" if self.weekly == "never" else day(self.weekly, "weekly")


#: Above a field's line in the file.
_ABOUT = {
    "nodes": "the job",
    "backend": "what is measured, and with what",
    "mpi": 'srun --mpi: "" chooses from what the site offers',
    "deep": "the profile of the weekly deep night",
    "at": "when: the night, its report (also where no night was), the day of the deep night (or never)",
    "minutes": "time limits of the jobs",
    "keep": "days that raw samples are kept (0: for ever), and nights that are kept at all",
    "price": "of a GPU-hour, in your money",
    "drain": "advise prints commands, apply runs them up to max_drain percent of the partition, off",
}


def path_of(history: Path) -> Path:
    return history / FILE


def read_settings(history: Path) -> Nightly:
    """The checked settings of a history; raises UsageError that names the file and the field."""
    path = path_of(history)
    first = f"railgauge slurm nightly --history {history} -N 64"
    if not path.exists():
        raise UsageError(
            f"{history}: no {FILE} here.\n  expected: a history that railgauge slurm nightly set up\n"
            f"  next: {first}"
        )
    text = text_of(path, "--history", MOST_BYTES, f"  next: {first}")
    try:
        made = msgspec.toml.decode(text, type=Nightly)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: {error}\n  next: correct the file") from None
    return checked(made, str(path))


def checked(made: Nightly, where: str) -> Nightly:
    """The settings; raises UsageError for what no type tells."""
    try:
        made.night_at, made.morning_at, made.deep_day  # noqa: B018 (each raises what it lacks)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    if made.drain not in DRAIN:
        raise unknown(f"value of {where}: drain", made.drain, DRAIN, "correct the file")
    for name, text in msgspec.structs.asdict(made).items():
        if isinstance(text, str) and not text.isprintable():
            raise UsageError(f"{where}: {name}: {text!r} has letters that cannot be printed")
    for name in made.variables:
        if not name.isidentifier() or not name.isascii():
            raise UsageError(
                f"{where}: variables: {name!r} is no name of a variable.\n  next: NAME=VALUE"
            )
    return made


def changed(before: Nightly | None, typed: Mapping[str, Any], where: str) -> Nightly:
    """The settings with what was typed (None: as before); raises UsageError that names the option."""
    given = {name: value for name, value in typed.items() if value is not None}
    kept = {} if before is None else msgspec.structs.asdict(before)
    if before is None and "nodes" not in given:
        raise UsageError("how many nodes has a night?\n  next: railgauge slurm nightly -N 64")
    try:
        return checked(msgspec.convert({**kept, **given}, Nightly), where)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}\n  next: railgauge slurm nightly --help") from None


def write_settings(history: Path, settings: Nightly) -> Path:
    """The file, written whole; raises NotMeasuredError where the folder takes nothing."""
    path = path_of(history)
    try:
        history.mkdir(parents=True, exist_ok=True)
        write_synced(path, toml_of(settings).encode())
    except OSError as error:
        raise NotMeasuredError(
            f"{path}: {error.strerror or error}.\n  expected: a folder that takes files\n"
            "  next: --history ANOTHER_FOLDER"
        ) from None
    return path


def toml_of(settings: Nightly) -> str:
    """The settings as TOML that can be read and edited; read back they are the same."""
    made = [
        "# a night of railgauge; read anew every night. Changed times: railgauge slurm nightly once more"
    ]
    tables = []
    for name, value in msgspec.structs.asdict(settings).items():
        if isinstance(value, dict):
            tables += [f"\n[{name}]", *(f"{key} = {_toml(text)}" for key, text in value.items())]
            continue
        made += [f"\n# {_ABOUT[name]}"] if name in _ABOUT else []
        made.append(f"# {name} = 2.5" if value is None else f"{name} = {_toml(value)}")
    return "\n".join([*made, *tables])


def _toml(value: object) -> str:
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)
