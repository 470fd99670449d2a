"""Messages that wait together are encoded together: those of the same number of tokens, with the same bits as alone.

A message is expected when it comes in, before its turn does. Whoever's turn it is encodes their own, along with what is
expected and as long as it; whose message that is finds it done. Nobody waits for a batch to fill. Padding would change
the last bits of a vector, and so would the graph's own sum over the tokens, which adds up in another order for one
message than for several: so the states are summed here, row by row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

STATES = "states"  # the output of a graph that its vector is the mean of: those of the tokens (B, T, 384), 0 if masked
_MOST = 8  # messages in a batch: more gain nothing on one core


States = Callable[[Sequence[Any]], NDArray[np.float32]]


class _Ticket:
    def __init__(self, encoding: Any) -> None:
        self.encoding = encoding
        self.done = threading.Event()
        self.outcome: NDArray[np.float32] | Exception = RuntimeError("it has not been run")


class Together:
    """Runs a model on encodings of the same length for whoever waits.

    `states` computes their states `(B, T, 384)`. It is the model's own, and so not kept: the two would keep each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[ref[_Ticket]] = []  # of a turn that has ended without asking nobody holds the ticket

    def expect(self, encoding: Any, states: States) -> Callable[[], NDArray[np.float32]]:
        """Return what gives the unit vector `(384,)` of a message's tokens, once it is asked."""
        ticket = _Ticket(encoding)
        with self._lock:
            self._waiting = [*(one for one in self._waiting if one() is not None), ref(ticket)]
        return lambda: self._vector(ticket, states)

    def _vector(self, mine: _Ticket, states: States) -> NDArray[np.float32]:
        if batch := self._take(mine):
            _run(batch, states)
        mine.done.wait()
        if isinstance(mine.outcome, Exception):
            raise mine.outcome
        return mine.outcome

    def _take(self, mine: _Ticket) -> list[_Ticket]:
        """Take a ticket and what has waited longest of those as long as it; nothing where it was taken before."""
        with self._lock:
            waiting = [ticket for one in self._waiting if (ticket := one()) is not None]
            length = len(mine.encoding.ids)
            others = [one for one in waiting if one is not mine and len(one.encoding.ids) == length]
            batch = [mine, *others[: _MOST - 1]] if mine in waiting else []
            self._waiting = [ref(one) for one in waiting if one not in batch]
        return batch


def _run(batch: Sequence[_Ticket], states: States) -> None:
    try:
        for ticket, own in zip(batch, states([one.encoding for one in batch]), strict=True):
            ticket.outcome = pooled(own)
    except Exception as error:  # noqa: BLE001 - each of those who wait is told
        for ticket in batch:
            ticket.outcome = error
    finally:
        for ticket in batch:
            ticket.done.set()


def pooled(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of a message's states `(T, 384)` at unit length, `(384,)`."""
    mean = states.sum(axis=0) / np.float32(len(states))
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return unit
