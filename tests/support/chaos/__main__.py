"""The command line: see :mod:`tests.support.chaos.command`."""

import sys

from tests.support.chaos.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
