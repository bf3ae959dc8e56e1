"""Vega, Vega-Lite, its interpreter and vega-embed as one script; 0.9 MB, which vl-convert ships in parts.

Putting them together takes seconds, more than all the rest of a small page, so the script is kept.
"""

from __future__ import annotations

import functools
import importlib.metadata

from railgauge_kernels.kept import kept


@functools.cache
def library() -> str:
    """The script, as it may stand in a page."""
    version = importlib.metadata.version("vl-convert-python")
    made = kept(f"vega-{version}.js", lambda: _bundle().encode()).decode()
    # an inline script ends at the first of these, wherever it stands
    return made.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _bundle() -> str:
    import vl_convert

    made: str = vl_convert.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;")
    return made
