"""One folder per message: a bad spec.yaml, at times its environment.yaml, and expected.txt."""

from functools import cache
from pathlib import Path

from tests.fleet import Outcome, fleetform

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/spec.yaml"))
REWRITE = "make golden"


def promised(case: Path) -> str:
    """Return the code that a case is named after."""
    return case.name.partition(".")[0]


@cache
def validate(case: Path, form: str = "text") -> Outcome:
    """Check a case's spec in its environment, or in the one that most cases share."""
    own = (case / "environment.yaml").exists()
    environment = "environment.yaml" if own else "../environment.yaml"
    options = ["--env", "prod", "--environments", environment, "--format", form]
    return fleetform("validate", "spec.yaml", *options, cwd=case)


def rewrite() -> None:
    """Write what is said today into every expected.txt."""
    for case in CASES:
        (case / "expected.txt").write_text(validate(case).err, "utf-8")
