"""Columns of a query as arrays, a batch of rows at a time, over the Arrow C stream interface.

Any engine that hands out an ``arrow_array_stream`` capsule can be read so, without an Arrow library: the structures are
those of the Arrow C data interface, and arrays are views of the engine's own memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Batch", "StreamError", "batches"]

BoolArray = npt.NDArray[np.bool_]

_FORMATS = {
    b"c": np.int8,
    b"C": np.uint8,
    b"s": np.int16,
    b"S": np.uint16,
    b"i": np.int32,
    b"I": np.uint32,
    b"l": np.int64,
    b"L": np.uint64,
    b"f": np.float32,
    b"g": np.float64,
}


class StreamError(RuntimeError):
    """The engine stopped in the middle of a stream, and said why."""


class _Schema(ctypes.Structure):
    pass


class _Array(ctypes.Structure):
    pass


class _Stream(ctypes.Structure):
    pass


_SCHEMA, _ARRAY, _STREAM = ctypes.POINTER(_Schema), ctypes.POINTER(_Array), ctypes.POINTER(_Stream)
_Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(_SCHEMA)),
    ("dictionary", _SCHEMA),
    ("release", ctypes.CFUNCTYPE(None, _SCHEMA)),
    ("private_data", ctypes.c_void_p),
]
_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(_ARRAY)),
    ("dictionary", _ARRAY),
    ("release", ctypes.CFUNCTYPE(None, _ARRAY)),
    ("private_data", ctypes.c_void_p),
]
_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, _STREAM, _SCHEMA)),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, _STREAM, _ARRAY)),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, _STREAM)),
    ("release", ctypes.CFUNCTYPE(None, _STREAM)),
    ("private_data", ctypes.c_void_p),
]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Some rows of a query, valid until the next batch is asked for.

    Attributes
    ----------
    n : int
        Rows.
    columns : list of (n,) arrays
        Values; whatever stands where one is missing means nothing.
    missing : list of (n,) bool array or None
        Where values are missing; None where none is.
    """

    n: int
    columns: list[npt.NDArray[Any]]
    missing: list[BoolArray | None]


def batches(capsule: object) -> Iterator[Batch]:
    """Read a stream of numeric columns to its end; a batch must not be used after the next one is asked for.

    Parameters
    ----------
    capsule : capsule
        What ``__arrow_c_stream__()`` gives.

    Raises
    ------
    StreamError
        The engine failed on the way, or a column is not of numbers.

    Examples
    --------
    >>> import duckdb
    >>> with duckdb.connect() as connection:
    ...     rows = connection.sql("SELECT i, nullif(i, 1)::DOUBLE AS x FROM range(3) t(i)")
    ...     for batch in batches(rows.__arrow_c_stream__()):
    ...         batch.columns[0].tolist(), batch.missing[1].tolist()
    ([0, 1, 2], [False, True, False])
    """
    stream = ctypes.cast(_pointer(capsule, b"arrow_array_stream"), _STREAM)
    kinds = _kinds(stream)
    while True:
        array = _Array()
        _check(stream, stream.contents.get_next(stream, ctypes.byref(array)))
        if not array.release:
            return
        try:
            read = [_column(array.children[i].contents, kind) for i, kind in enumerate(kinds)]
            yield Batch(int(array.length), [values for values, _ in read], [holes for _, holes in read])
        finally:
            array.release(ctypes.byref(array))


def _kinds(stream: Any) -> list[np.dtype[Any]]:
    schema = _Schema()
    _check(stream, stream.contents.get_schema(stream, ctypes.byref(schema)))
    try:
        formats = [schema.children[i].contents.format for i in range(schema.n_children)]
    finally:
        schema.release(ctypes.byref(schema))
    other = [text for text in formats if text not in _FORMATS]
    if other:
        raise StreamError(f"a column of Arrow format {other[0].decode()}, where numbers were expected")
    return [np.dtype(_FORMATS[text]) for text in formats]


def _check(stream: Any, code: int) -> None:
    if code:
        said = stream.contents.get_last_error(stream)
        raise StreamError((said or b"the stream broke off").decode("utf-8", "replace"))


def _column(array: Any, kind: np.dtype[Any]) -> tuple[npt.NDArray[Any], BoolArray | None]:
    start, length = int(array.offset), int(array.length)
    values = _view(array.buffers[1], (start + length) * kind.itemsize).view(kind)[start:]
    if array.null_count == 0 or not array.buffers[0]:
        return values, None
    bits = _view(array.buffers[0], -(-(start + length) // 8))
    missing = np.unpackbits(bits, count=start + length, bitorder="little")[start:] == 0
    return values, missing if missing.any() else None


def _view(address: int | None, size: int) -> npt.NDArray[np.uint8]:
    if not size or not address:
        return np.empty(0, dtype=np.uint8)
    return np.frombuffer(memoryview((ctypes.c_uint8 * size).from_address(address)), dtype=np.uint8)
