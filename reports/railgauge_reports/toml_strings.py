"""Text as a string of TOML, where a file is written that people edit."""

from __future__ import annotations


def toml_string(text: str) -> str:
    """A basic string (TOML 1.0): quotes, backslashes and what cannot be printed are escaped."""
    return '"' + "".join(map(_letter, text)) + '"'


def _letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\U{ord(letter):08X}"
