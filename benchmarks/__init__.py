"""Benchmarks: runnable modules; see README.md."""
