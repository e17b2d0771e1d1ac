"""Entry of ``dsq-provider``: what a signal does is settled before anything else is imported.

A service that is told to stop ends with 0 at any moment, also while it still starts: its exit
code then says why it ended, as docs/provider.md promises. Nothing is open yet, so it may leave
at once; when the supervisor runs, :mod:`dsq.supervisor.ending` takes the signals over.
"""

import os
import signal
import sys
from types import FrameType

WORDS = b"dsq-provider: stopped before it had started.\n"


def leave(_number: int, _frame: FrameType | None) -> None:
    """Ends the process, which has done nothing yet."""
    os.write(2, WORDS)
    os._exit(0)


def main() -> None:
    """Entry of the ``dsq-provider`` command."""
    # Commands and the screen end by a signal as other programs do: what was asked is not done.
    if "--headless" in sys.argv[1:]:
        signal.signal(signal.SIGTERM, leave)
        signal.signal(signal.SIGINT, leave)
    from dsq.console.provider_command import main as run

    run()


if __name__ == "__main__":
    main()
