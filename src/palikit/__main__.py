"""`python -m palikit` is the command `palikit`."""

from palikit.cli import main

if __name__ == "__main__":
    main()
