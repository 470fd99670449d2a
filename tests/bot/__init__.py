"""One turn, and every way to reach it."""
