"""Logs from elsewhere, read one conversation at a time, personal data masked on the way in."""

from bot.replay.readers.mapping import Mapping, read_mapping
from bot.replay.readers.privacy import Mask, region_named
from bot.replay.readers.reading import FORMS, Reading, Wrong, read_log, stop

__all__ = ["FORMS", "Mapping", "Mask", "Reading", "Wrong", "read_log", "read_mapping", "region_named", "stop"]
