"""How the commands of this package tell how far they are: plain lines, at once."""

import sys


def say(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
