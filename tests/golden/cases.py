"""One folder per case: agents/, environments/prod.yaml, and expected/, the whole tree that they make."""

from pathlib import Path

from fleetform import pipeline

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/agents"))
REWRITE = "make golden"


def rendered(case: Path) -> dict[str, str]:
    """Return the texts that a case makes today, by path."""
    return pipeline.render([case / "agents"], case / "environments", "prod", ["manifests"]).folders[
        "rendered/prod"
    ]


def delivered(case: Path) -> dict[str, str]:
    """Return what a case's other targets make, by folder and path."""
    folders = pipeline.render([case / "agents"], case / "environments", "prod").folders
    return {
        f"{folder}/{path}": text
        for folder, texts in folders.items()
        for path, text in texts.items()
        if folder != "rendered/prod"
    }


def expected(case: Path, folder: str = "expected") -> dict[str, str]:
    """Return the committed texts of a case, by path."""
    root = case / folder
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(file.relative_to(root)): file.read_text("utf-8") for file in files}


def rewrite() -> None:
    """Make the committed trees equal to what is rendered today."""
    for case in CASES:
        _replace(case, "expected", rendered(case))
        _replace(case, "delivered", delivered(case))


def _replace(case: Path, folder: str, texts: dict[str, str]) -> None:
    for name in expected(case, folder).keys() - texts.keys():
        (case / folder / name).unlink()
    for name, text in texts.items():
        file = case / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
