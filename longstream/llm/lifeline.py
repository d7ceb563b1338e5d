"""Binds an engine's processes to the life of the process that started them, however that one ends.

vLLM's children do not notice when their parent is killed: its EngineCore waits for requests for ever, with
the model in memory. They do get its settings, pickled, before they load anything.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

_PR_SET_PDEATHSIG = 1


class Lifeline:
    """An engine setting that binds each process that unpickles it to the process that pickled it.

    The kernel kills the reader when the thread that started it ends, so that thread must live as long as the
    engine shall. Linux only.
    """

    def compute_hash(self) -> str:
        """Its part in vLLM's cache keys: the same for all."""
        return "lifeline"

    def __reduce__(self) -> tuple[Any, ...]:
        return _bound_to, (os.getpid(),)


def _bound_to(parent: int) -> Lifeline:
    if os.getpid() != parent:  # a copy inside the same process changes nothing
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have gone before the kernel was asked.
        if os.getppid() != parent:
            os._exit(1)
    return Lifeline()
