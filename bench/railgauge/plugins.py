"""What plug-ins there are: the file name is the name."""

from __future__ import annotations

import importlib.util
import pkgutil

AUDITS, BACKENDS, COUNTERS, FORMATS, IMPORTERS, TOPOLOGIES = (
    "railgauge.audits",
    "railgauge.backends",
    "railgauge.counters",
    "railgauge_reports.formats",
    "railgauge_reports.importers",
    "railgauge.simulation.topologies",
)


def names(package: str) -> list[str]:
    """Names of the modules in a package's folder, none of them imported; empty without the folder."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return []
    places = spec.submodule_search_locations if spec else None
    found = (module.name for module in pkgutil.iter_modules(places or []))
    return sorted(name for name in found if not name.startswith("_"))
