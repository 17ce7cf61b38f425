"""What one worker found, as bytes that any machine reads: numbers and arrays, never code."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from io import BytesIO
from typing import Any

import numpy as np

from spc.errors import DataError, Finding
from spc.moments import Patterns
from spc.sources.sums import Sums

__all__ = ["packed", "unpacked"]

_RECORDS = {kind.__name__: kind for kind in (Sums, Patterns, Finding)}


def packed(found: Any) -> bytes:
    """Bytes of lists, dicts of whole numbers, arrays and sums.

    Examples
    --------
    >>> unpacked(packed({3: [np.eye(2), None], 7: 1}))
    {3: [array([[1., 0.],
           [0., 1.]]), None], 7: 1}
    """
    arrays: list[Any] = []

    def told(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if isinstance(value, dict):
            return {"dict": [[told(key), told(inner)] for key, inner in value.items()]}
        if isinstance(value, list | tuple):
            return {type(value).__name__: [told(inner) for inner in value]}
        if is_dataclass(value):
            return {type(value).__name__: [told(getattr(value, one.name)) for one in fields(value)]}
        return value.item() if isinstance(value, np.generic) else value

    text = json.dumps(told(found)).encode()
    out = BytesIO()
    np.savez(out, np.frombuffer(text, dtype=np.uint8), *arrays, allow_pickle=False)
    return out.getvalue()


def unpacked(data: bytes) -> Any:
    """What was packed; raises the error where that is what was found.

    Raises
    ------
    DataError
        The worker came upon something wrong with the rows.
    """
    with np.load(BytesIO(data), allow_pickle=False) as store:
        text, *arrays = (store[f"arr_{i}"] for i in range(len(store.files)))

    def made(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        [(kind, inner)] = value.items()
        if kind == "array":
            return arrays[inner]
        if kind == "dict":
            return {made(key): made(one) for key, one in inner}
        parts = [made(one) for one in inner]
        return parts if kind == "list" else tuple(parts) if kind == "tuple" else _RECORDS[kind](*parts)

    found = made(json.loads(text.tobytes()))
    if isinstance(found, list) and found and all(isinstance(one, Finding) for one in found):
        raise DataError(found)
    return found
