"""`python -m lightning_posenc`."""

import sys

from lightning_posenc.cli import main

if __name__ == "__main__":
    sys.exit(main())
