"""Messages that wait together are encoded together: those of the same number of tokens, with the same bits as alone.

A message that comes alone does not wait. While every core is busy, messages gather; whoever gets the next core
takes the one that has waited longest, along with those of the same length. Padding would change the last bits of a
vector, and so would the graph's own sum over the tokens, which adds up in another order for one message than for
several: so the states are summed here, row by row.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATES = "states"  # the output of a graph that its vector is the mean of: those of the tokens (B, T, 384), 0 if masked
_MOST = 8  # messages in a batch: more gain nothing on one core
_CORES = os.cpu_count() or 1


class _Gate(threading.Condition):
    """Counts the runs of all models: more at once than there are cores take longer together."""

    running = 0


_GATE = _Gate()


class _Ticket:
    def __init__(self, encoding: Any) -> None:
        self.encoding = encoding
        self.is_taken = False
        self.done = threading.Event()
        self.outcome: NDArray[np.float32] | Exception = RuntimeError("it has not been run")


class Together:
    """Runs what `states` computes, the states `(B, T, 384)` of encodings of the same length, for whoever waits."""

    def __init__(self, states: Callable[[Sequence[Any]], NDArray[np.float32]]) -> None:
        self._states = states
        self._waiting: list[_Ticket] = []

    def vector(self, encoding: Any) -> NDArray[np.float32]:
        """Return the unit vector `(384,)` of a message's tokens."""
        mine = _Ticket(encoding)
        with _GATE:
            self._waiting.append(mine)
        while batch := self._next(mine):
            self._run(batch)
        mine.done.wait()
        if isinstance(mine.outcome, Exception):
            raise mine.outcome
        return mine.outcome

    def _next(self, mine: _Ticket) -> list[_Ticket]:
        """Return what is to be run next, whoever's it is, once there is a core; nothing once one's own was taken."""
        with _GATE:
            while not mine.is_taken and _GATE.running >= _CORES:
                _GATE.wait()
            return [] if mine.is_taken else self._take()

    def _take(self) -> list[_Ticket]:
        """Take what has waited longest, and what is as long as it."""
        length = len(self._waiting[0].encoding.ids)
        batch = [one for one in self._waiting if len(one.encoding.ids) == length][:_MOST]
        for ticket in batch:
            ticket.is_taken = True
            self._waiting.remove(ticket)
        _GATE.running += 1
        return batch

    def _run(self, batch: Sequence[_Ticket]) -> None:
        try:
            for ticket, states in zip(batch, self._states([one.encoding for one in batch]), strict=True):
                ticket.outcome = pooled(states)
        except Exception as error:  # noqa: BLE001 - each of those who wait is told
            for ticket in batch:
                ticket.outcome = error
        finally:
            with _GATE:
                _GATE.running -= 1
                _GATE.notify_all()
            for ticket in batch:
                ticket.done.set()


def pooled(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of a message's states `(T, 384)` at unit length, `(384,)`."""
    mean = states.sum(axis=0) / np.float32(len(states))
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return unit
