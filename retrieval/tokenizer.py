"""The tokenizer that every model of Rapport reads text with."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers

_APOSTROPHES = Regex("[’‘ʼ]")


def read_tokenizer(file: Path, max_tokens: int) -> Tokenizer:
    """Return a tokenizer that cuts at `max_tokens` and pads nothing.

    The apostrophes that phones write are read as the plain one: "what’s" would be other words than "what's".
    """
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(_APOSTROPHES, "'"), tokenizer.normalizer])
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens, strategy="longest_first")
    return tokenizer
