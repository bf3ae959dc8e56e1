"""Ways to move data, one file each; the file name is the name of the backend.

A backend's file is cheap to import: what it offers is known to the command line, which loads
neither MPI nor CUDA. It has `OFFERS`, and `open_backend(plan, world)`, which loads its library.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from railgauge import plugins
from railgauge.errors import unknown


@dataclasses.dataclass(frozen=True)
class Offers:
    """What a backend can be asked for, the default first.

    `calls` are forms of call (`--call`); `timing` is how iterations start unless asked otherwise
    ("": as the operation says); `placements` and `fewer_calls` are those of operations that have fewer here.
    """

    operations: tuple[str, ...]
    dtypes: tuple[str, ...]
    ops: tuple[str, ...]
    calls: tuple[str, ...]
    memories: tuple[str, ...]
    timing: str = ""
    registrations: tuple[str, ...] = ("none",)
    placements: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    fewer_calls: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    device_clock: bool = False  # operations on device memory are timed on the device
    selected: tuple[str, ...] = ()  # operations whose algorithm a call can name (`--algorithm`)
    in_block: bool = False  # see `railgauge.layouts.Group`
    unsupported: str = ""  # why nothing can be asked of it yet
    reciprocal_average: bool = False  # averages floats by multiplying each contribution by 1/n
    configured: bool = False  # `--config` means something
    alone: bool = (
        False  # one process stands for all ranks: none is started, and nothing is verified
    )
    #: Fields of a plan that are something else here unless they are asked for.
    defaults: Mapping[str, object] = dataclasses.field(default_factory=dict)
    #: Raises UsageError for what the backend knows to be wrong before it is opened.
    refuse: Callable[[Any], None] = lambda _plan: None  # of a `railgauge.plan.Plan`


@functools.cache
def offers_of(name: str) -> Offers:
    """What the backend of that name offers; raises UsageError with the closest name."""
    known = plugins.names(plugins.BACKENDS)
    if name not in known:
        raise unknown("backend", name, known, "railgauge list")
    offers = importlib.import_module(f"{plugins.BACKENDS}.{name}").OFFERS
    assert isinstance(offers, Offers)
    return offers
