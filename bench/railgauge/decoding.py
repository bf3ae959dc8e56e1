"""What msgspec says of a file that does not fit its type, with what would have fitted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

#: What decoding raises where a text does not fit.
NOT_FITTING = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError)
_PLACE = re.compile(r" - at `(\$[^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[([^\]]*)\]")
_FIELD = re.compile(r"unknown field `([^`]*)`")
_VALUE = re.compile(r"(?:Invalid enum value|Invalid value) '([^']*)'")


def told(error: Exception, kind: type[Any]) -> str:
    """`Invalid enum value 'fat-tree' - at ...`, and below it `expected: rail_optimised, fat_tree, dragonfly`.

    `kind` is the type that the text was decoded as. What has no list of names is told by msgspec alone.
    """
    text = str(error)
    place = _PLACE.search(text)
    if field := _FIELD.search(text):
        found, allowed = field[1], _fields(kind, place[1] if place else "$")
    elif place and (value := _VALUE.search(text)):
        found, allowed = value[1], _values(kind, place[1])
    else:
        return text
    if not allowed:
        return text
    close = difflib.get_close_matches(found, allowed, n=1)
    hint = f". Did you mean {close[0]!r}?" if close else ""
    return f"{text}{hint}\n  expected: {', '.join(allowed)}"


def _fields(kind: type[Any], place: str) -> list[str]:
    """The fields of the tables that may stand there, in their order."""
    types = _at(inspect.type_info(kind), place)
    return list(
        dict.fromkeys(
            field.encode_name
            for made in types
            if isinstance(made, inspect.StructType)
            for field in made.fields
        )
    )


def _values(kind: type[Any], place: str) -> list[str]:
    """The words that may stand there: of a literal, or the tags of the tables of which this is the kind."""
    parent, _, field = place.rpartition(".")
    info = inspect.type_info(kind)
    words = [
        v for made in _at(info, place) if isinstance(made, inspect.LiteralType) for v in made.values
    ]
    tags = [
        made.tag
        for made in _at(info, parent or "$")
        if isinstance(made, inspect.StructType) and made.tag_field == field
    ]
    return [word for word in (*words, *tags) if isinstance(word, str)]


def _at(info: inspect.Type, place: str) -> list[inspect.Type]:
    """The types that may stand at `$.a.b[0]`."""
    types = list(_alternatives(info))
    for step in _STEP.finditer(place):
        inner = [_inside(made, step[1]) for made in types]
        types = [one for made in inner if made is not None for one in _alternatives(made)]
    return types


def _alternatives(info: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(info, inspect.UnionType):
        yield from info.types
    else:
        yield info


def _inside(info: inspect.Type, field: str | None) -> inspect.Type | None:
    """The type of that field, or (None) of an item."""
    if field is not None and isinstance(info, inspect.StructType):
        return next((made.type for made in info.fields if made.encode_name == field), None)
    if isinstance(info, inspect.DictType):
        return info.value_type
    if isinstance(info, inspect.CollectionType | inspect.VarTupleType):
        return info.item_type
    return None
