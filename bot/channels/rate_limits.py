"""Rate limits by a moving window: who asks too often is told when to come back."""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from bot.channels.errors import ApiError

_MOST = 100_000  # whoever is counted; beyond it all counting begins anew, so that memory does not grow


class RateLimits:
    """Counts what everybody asks for, in this process."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._windows = MovingWindowRateLimiter(self._storage)

    def spend(self, limit: RateLimitItem, kind: str, whose: str) -> None:
        """Count one request of a customer, an address or a key.

        Raises:
            ApiError: it is one too many (429, with `Retry-After`).
        """
        if len(self._storage.events) > _MOST:
            self._storage.reset()
        if not self._windows.hit(limit, kind, whose):
            again = math.ceil(self._windows.get_window_stats(limit, kind, whose).reset_time - time.time())
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
