"""What a site says its nodes must have: a TOML file for `railgauge audit --manifest`.

```
profile = "roce-lossless"
priorities = [3]          # lossless ones, IEEE 802.1Q
dscp = 26                 # of RDMA traffic
mtu = 9000                # of network devices
gpus = 8                  # of a node
nics = 8                  # ports of RDMA devices that are ACTIVE
rate_Gbps = 400           # of each of them, unless [devices.NAME] says another
netdevs = ["eth0", "bond0"]   # network devices that must be up
errors_per_day = 10       # of a port, at most, of each kind that `railgauge audit --list` names
clocksource = "tsc"

[devices.mlx5_0]
pci = "0000:18:00.0"
netdev = "eth2"
guid = "0c42:a103:0065:1a2e"
rate_Gbps = 400
port = 1
```
"""

# ruff: noqa: N815  (units keep their capitals: Gbps is not GBps)

from __future__ import annotations

from pathlib import Path

import msgspec

from railgauge.decoding import NOT_FITTING, told
from railgauge.errors import UsageError, unknown

PROFILES = ("ib", "roce-lossless", "roce-ecn-only", "roce-lossy", "efa")
ROCE = ("roce-lossless", "roce-ecn-only", "roce-lossy")


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An RDMA device of every node; None: not said."""

    pci: str | None = None
    netdev: str | None = None
    guid: str | None = None
    rate_Gbps: float | None = None
    port: int = 1


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; None: not said."""

    profile: str | None = None
    priorities: tuple[int, ...] = ()
    dscp: int | None = None
    mtu: int | None = None
    gpus: int | None = None
    nics: int | None = None
    rate_Gbps: float | None = None
    netdevs: tuple[str, ...] = ()
    errors_per_day: float | None = None
    clocksource: str | None = None
    devices: dict[str, Device] = {}


EMPTY = Manifest()
FIELDS = tuple(name for name in Manifest.__struct_fields__ if name != "devices")
MOST = 1e9


def read_manifest(path: Path, option: str = "--manifest") -> Manifest:
    """Raises UsageError that names the field."""
    try:
        made = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise UsageError(
            f"{option} {path}: {error.strerror or error}.\n"
            "  expected: a TOML file that this user may read"
        ) from error
    except NOT_FITTING as error:
        raise UsageError(
            f"{option} {path}: {told(error, Manifest)}\n"
            f"  next: correct the file (TOML with {', '.join(FIELDS)} and [devices.NAME])"
        ) from error
    return checked(made, f"{option} {path}")


def checked(made: Manifest, where: str) -> Manifest:
    """The manifest itself; raises UsageError for values that nothing can have."""
    if made.profile is not None and made.profile not in PROFILES:
        said = f"change it in {where}, or railgauge audit --profile NAME, which wins over it"
        raise unknown("profile", made.profile, PROFILES, said)
    if any(not 0 <= priority < 8 for priority in made.priorities):
        raise UsageError(f"{where}: priorities {list(made.priorities)}.\n  expected: 0 to 7")
    for name in ("gpus", "nics", "rate_Gbps", "errors_per_day"):
        value = getattr(made, name)
        if value is not None and not 0 <= value < MOST:
            raise UsageError(f"{where}: {name} {value}.\n  expected: a number from 0 on")
    return made
