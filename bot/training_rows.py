"""What models keep of messages: the samples and examples in model folders that were made from a customer's messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import escape

from finetune.sheets import write_whole
from memory.redaction import GONE
from retrieval.model_folder import MANIFEST, sha256

_LEAST = 12  # characters of a message that is looked for: shorter ones are anybody's


class TrainingRows:
    """The rows of `rehearsal.json` and the examples of `report.json` and `report.html`, of every version in the home.

    A message that is also in the desk's files stays: there it is the team's, who accepted it, and who may take it out.
    """

    name = "training rows"
    evidence: Sequence[bytes] = ()

    def __init__(self, home: Path, desk_texts: Sequence[str]) -> None:
        self._home = home
        self._kept = {text.strip().casefold() for text in desk_texts}

    def erase(self, texts: Sequence[str]) -> int:
        """Remove messages from all model folders; return from how many files, once for each message.

        Raises:
            OSError: a file cannot be written.
        """
        wanted = {text.strip().casefold() for text in texts if len(text.strip()) >= _LEAST} - self._kept
        if not wanted:
            return 0
        folders = [manifest.parent for manifest in self._home.glob(f"models/*/*/{MANIFEST}")]
        return sum(_clean_folder(folder, wanted) for folder in folders)


def _clean_folder(folder: Path, wanted: set[str]) -> int:
    """Remove messages from the files of a model folder; return how often they stood there."""
    changed: dict[str, bytes] = {}
    said: list[str] = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8")) if path.name != MANIFEST else {}
        if found := [text for text in _strings(content) if text.strip().casefold() in wanted]:
            said += found
            clean = json.dumps(_without(content, wanted), ensure_ascii=False, indent=0)
            changed[path.name] = clean.encode() + b"\n"
    for path in folder.glob("*.html"):
        page = old = path.read_text(encoding="utf-8")
        for text in said:
            page = page.replace(str(escape(text)), GONE)
        if page != old:
            changed[path.name] = page.encode()
    if changed:
        _replace(folder, changed)
    return len(said)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _without(value: Any, wanted: set[str]) -> Any:
    """Return a value of JSON without the wanted strings, and without the rows of a list that hold one."""
    if isinstance(value, list):
        return [_without(part, wanted) for part in value if not _holds(part, wanted)]
    if isinstance(value, dict):
        return {key: _without(part, wanted) for key, part in value.items()}
    return GONE if isinstance(value, str) and value.strip().casefold() in wanted else value


def _holds(part: Any, wanted: set[str]) -> bool:
    """Return whether a row of a list is a wanted string, or has one among its own fields."""
    fields = part.values() if isinstance(part, dict) else part if isinstance(part, list) else [part]
    return any(isinstance(field, str) and field.strip().casefold() in wanted for field in fields)


def _replace(folder: Path, changed: dict[str, bytes]) -> None:
    """Put files in the place of those of a model folder, and their hashes into its manifest."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name, content in changed.items():
        write_whole(folder / name, content)
        manifest["files"][name] = sha256(folder / name)
    write_whole(folder / MANIFEST, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
