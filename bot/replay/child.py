"""`python -m bot.replay.child ARGUMENTS`: `rapport replay ARGUMENTS` for a server, at low priority.

Whoever starts it holds its standard input open; when that ends, because the server did, so does this.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading

_NICE = 10  # of 19: customers who chat come first


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    os.nice(_NICE)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv[1:1] = ["replay"]
    runpy.run_module("app", run_name="__main__")
