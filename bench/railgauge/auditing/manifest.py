"""What a site says its nodes must have: a TOML file for `railgauge audit --manifest`.

```
profile = "roce-lossless"
priorities = [3]          # lossless ones, IEEE 802.1Q
dscp = 26                 # of RDMA traffic
mtu = 9000                # of network devices
gpus = 8                  # of a node

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
    devices: dict[str, Device] = {}


EMPTY = Manifest()


def read_manifest(path: Path) -> Manifest:
    """Raises UsageError that names the field."""
    try:
        made = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise UsageError(
            f"--manifest {path}: {error.strerror or error}.\n"
            "  expected: a TOML file that this user may read"
        ) from error
    except NOT_FITTING as error:
        raise UsageError(
            f"--manifest {path}: {told(error, Manifest)}\n"
            "  next: correct the file (TOML: profile, priorities, dscp, mtu, gpus, [devices.NAME])"
        ) from error
    if made.profile is not None and made.profile not in PROFILES:
        said = f"change it in {path}, or railgauge audit --profile NAME, which wins over it"
        raise unknown("profile", made.profile, PROFILES, said)
    if any(not 0 <= priority < 8 for priority in made.priorities):
        raise UsageError(
            f"--manifest {path}: priorities {list(made.priorities)}.\n  expected: 0 to 7"
        )
    return made
