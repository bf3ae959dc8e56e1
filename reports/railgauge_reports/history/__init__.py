"""A history of nights: read, judged by the gate, acknowledged; `walk` is where a night is decided."""

#: Files of a history, beside its nights.
SETTINGS, ACKS, CACHE = "history.toml", "acks.toml", ".railgauge-nights"
#: Folders inside a night: the confirming runs on the same nodes, and on others.
CONFIRM_SAME, CONFIRM_OTHER = "confirm-same", "confirm-other"
