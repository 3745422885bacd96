"""`python -m tests.golden.rewrite`: write today's output as what is expected; read the diff after."""

from tests.errors import cases as errors
from tests.golden import cases as golden


def main() -> None:
    """Rewrite every expected tree and every expected message."""
    golden.rewrite()
    errors.rewrite()


if __name__ == "__main__":
    main()
