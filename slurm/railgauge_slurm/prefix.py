"""What every reason of ours begins with; nodes held for another one are somebody else's."""

from __future__ import annotations

PREFIX = "railgauge:"
