"""`python -m tests.golden.rewrite`: write today's output as what is expected; read the diff after."""

from tests.errors import cases as errors


def main() -> None:
    """Rewrite every expected file."""
    errors.rewrite()


if __name__ == "__main__":
    main()
