"""Look-ups of the library's Rasa assistant."""
