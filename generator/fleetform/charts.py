"""The two Helm charts that come with Fleetform, as texts by path."""

from __future__ import annotations

from pathlib import Path

CHARTS = ("agent", "namespace")
_PACKAGED = Path(__file__).with_name("charts")
_MARK = "Chart.yaml"


def texts() -> dict[str, str]:
    """Return the files of all charts below one folder."""
    return {
        file.relative_to(_PACKAGED).as_posix(): file.read_text("utf-8")
        for chart in CHARTS
        for file in sorted((_PACKAGED / chart).rglob("*"))
        if file.is_file()
    }


def missing(folder: Path) -> bool:
    """Whether a folder lacks one of the charts."""
    return not all((folder / chart / _MARK).is_file() for chart in CHARTS)
