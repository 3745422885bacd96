"""Vectors of memories: a signed byte for each dimension, compared one by one.

A user has hundreds of memories and not millions, so an index would be slower than this. A byte is enough: what is next to
what does not change by it. numpy is used where it is installed.
"""

import math
import operator
from array import array
from collections.abc import Sequence

LARGEST = 127


def quantised(vector: Sequence[float]) -> bytes:
    """Return a vector of the same direction; nothing if it has none."""
    largest = max(map(abs, vector), default=0.0)
    if not largest or not math.isfinite(largest):
        return b""
    return array("b", [round(value / largest * LARGEST) for value in vector]).tobytes()


def cosines(question: bytes, vectors: Sequence[bytes]) -> list[float]:
    """Return the cosine of each vector and the question's; all have the same length."""
    if not vectors:
        return []
    try:
        import numpy  # noqa: PLC0415 - an extra
    except ImportError:
        return _one_by_one(question, vectors)
    asked = numpy.frombuffer(question, dtype=numpy.int8).astype(numpy.float32)
    rows = numpy.frombuffer(b"".join(vectors), dtype=numpy.int8).reshape(len(vectors), -1)
    found = rows.astype(numpy.float32)
    sizes = numpy.sqrt((found * found).sum(axis=1)) * numpy.sqrt((asked * asked).sum())
    result: list[float] = ((found @ asked) / sizes).tolist()
    return result


def _one_by_one(question: bytes, vectors: Sequence[bytes]) -> list[float]:
    asked = array("b", question)
    size = math.sqrt(_product(asked, asked))
    return [
        _product(asked, row) / (size * math.sqrt(_product(row, row)))
        for row in (array("b", vector) for vector in vectors)
    ]


def _product(left: Sequence[int], right: Sequence[int]) -> float:
    quick = getattr(math, "sumprod", None)  # from Python 3.12 on
    return float(quick(left, right) if quick else sum(map(operator.mul, left, right)))
