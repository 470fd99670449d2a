"""Rate limits by a moving window: who asks too often is told when to come back."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from bisect import bisect_left

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from bot.channels.errors import ApiError

_MOST = 100_000  # whoever is counted; beyond it whoever has asked longest ago is forgotten


class _Windows(MemoryStorage):
    """The library's moving window without its timer, which goes through everybody counted with nearly every request."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._times: dict[str, list[float]] = {}  # of each key's requests, oldest first; keys as they last asked

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count requests of a key unless there would be more than `limit` in the last `expiry` seconds."""
        now = time.time()
        with self._lock:
            times = self._times.pop(key, [])
            del times[: bisect_left(times, now - expiry)]
            self._times[key] = times
            if len(self._times) > _MOST:
                del self._times[next(iter(self._times))]
            if len(times) + amount > limit:
                return False
            times += [now] * amount
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the oldest request in the window was, now if there is none, and how many there are."""
        now = time.time()
        with self._lock:
            times = self._times.get(key, [])
            first = bisect_left(times, now - expiry)
            return (times[first] if first < len(times) else now), len(times) - first


class RateLimits:
    """Counts what everybody asks for, in this process."""

    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(_Windows())

    def spend(self, limit: RateLimitItem, kind: str, whose: str, cost: int = 1) -> None:
        """Count one request of a customer, an address or a key, as `cost` requests, all of a window's at most.

        Raises:
            ApiError: it is one too many (429, with `Retry-After`).
        """
        if not self._windows.hit(limit, kind, whose, cost=min(cost, limit.amount)):
            first_ends = self._windows.get_window_stats(limit, kind, whose).reset_time - time.time()
            again = math.ceil(first_ends) if cost == 1 else limit.get_expiry()  # by then there is room for any cost
            raise ApiError(
                429,
                "too_many",
                f"Too many requests: at most {limit}. Try again in {max(again, 1)} s.",
                {"Retry-After": str(max(again, 1))},
            )


def network(address: str) -> str:
    """Return what of an address is counted: of IPv6 the network of 64 bits that one customer of a provider gets."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((given, 64), strict=False)) if given.version == 6 else address
