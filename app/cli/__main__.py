"""`convserve`, and `python -m app.cli`: the service starts without what the other commands are made of."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:2] == ["serve"]:
        from app.cli.serve import main as serve

        serve(sys.argv[2:])
    else:
        from app.cli.main import main as command

        command()


if __name__ == "__main__":
    main()
