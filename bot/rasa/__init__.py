"""Rasa projects turned into desks."""
