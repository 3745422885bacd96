"""Rows of text → a table for people, or CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from enum import StrEnum

from fleetform.problems import printable


class Form(StrEnum):
    """What rows are printed as."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> str:
    """Return columns below their titles; the last `right` ones are numbers, and end at one line."""
    cells = [[*titles], *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(titles))]
    first = len(titles) - right
    lines = (
        "  ".join(
            cell.ljust(width) if n < first else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def as_csv(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as RFC 4180 has them, a line with the titles first, without a line break at the end."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    return stream.getvalue().removesuffix("\n")


def _inert(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in set("=+-@\t\r") else cell
