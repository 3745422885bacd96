"""`python -m tests.golden.rewrite`: write today's output as what is expected; read the diff after."""

from tests.errors import cases as errors
from tests.golden import cases as golden
from tests.network import matrix


def main() -> None:
    """Rewrite every expected tree, every expected message and the matrices of the network."""
    golden.rewrite()
    errors.rewrite()
    matrix.rewrite()


if __name__ == "__main__":
    main()
