"""`python -m cachet_dagster`: the command `cachet-dagster`, as `make` calls it."""

import sys

from cachet_dagster.cli import main


def run() -> None:
    """Run the command and exit with its code."""
    sys.exit(main())


if __name__ == "__main__":
    run()
