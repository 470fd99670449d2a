"""Replay: what a change will do, known before customers do."""
