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


def expected(case: Path) -> dict[str, str]:
    """Return the committed texts of a case, by path."""
    root = case / "expected"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(file.relative_to(root)): file.read_text("utf-8") for file in files}


def rewrite() -> None:
    """Make the committed trees equal to what is rendered today."""
    for case in CASES:
        texts = rendered(case)
        for name in expected(case).keys() - texts.keys():
            (case / "expected" / name).unlink()
        for name, text in texts.items():
            file = case / "expected" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
