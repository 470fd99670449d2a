"""Finding text."""
