"""Files into records: the lines of JSON Lines, the elements of a JSON array, whole JSON documents, the rows of a CSV.

One record stands in memory at a time. What cannot be read is told with its place, and reading goes on after it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.problems import Problem, RapportError

if TYPE_CHECKING:
    from _csv import Reader

LARGEST = 64 * 1024 * 1024  # bytes of one record
_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_ZIP, _GZIP, _UTF8, _UTF16 = b"PK\x03\x04", b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
Tell = Callable[[Problem], None]
Content = io.BufferedReader | gzip.GzipFile


@dataclass(frozen=True)
class Record:
    """A value of JSON, or a row of a CSV by its columns; `place` says where it stood, `origin` is the file's name."""

    value: Any
    file: str
    place: str
    origin: str
    number: int


def files_of(path: Path) -> list[Path]:
    """Return the files of a log: itself, or all .json, .jsonl, .ndjson, .csv and .tsv (also .gz) in a folder, by name.

    Raises:
        RapportError: there is no such file, or none in the folder.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RapportError(f"There is no file {path}. Check the name.")
    found = [file for file in sorted(path.rglob("*")) if file.is_file() and _ending(file) in _ENDINGS]
    found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not found:
        raise RapportError(f"The folder {path} holds no log. Logs end in {', '.join(_ENDINGS)}, or in .gz after that.")
    return found


class Records:
    """The records of one file, read once; `read` is how many of its `size` bytes have been read."""

    def __init__(self, path: Path, root: Path, tell: Tell) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._tell = tell
        inside = path.relative_to(root) if root.is_dir() else Path(path.name)
        self._origin = inside.as_posix().removesuffix(".gz")
        self._file: io.BufferedReader | None = None
        self.is_csv = _ending(path) in (".csv", ".tsv")

    @property
    def read(self) -> int:
        """How many bytes of the file have been read, compressed ones where it is compressed."""
        if self._file is None:
            return 0
        return self.size if self._file.closed else self._file.tell()

    def __iter__(self) -> Iterator[Record]:
        with self.path.open("rb") as raw:
            self._file = raw
            start = raw.read(4)
            raw.seek(0)
            if start == _ZIP:
                return self._trouble("", "it is a zip archive", "Unpack it and name the files or their folder")
            if start[:2] in _UTF16:
                return self._trouble("", "it is UTF-16 text", "Save it with the encoding UTF-8")
            content = gzip.GzipFile(fileobj=raw) if start[:2] == _GZIP else raw
            try:
                yield from self._rows(content) if self.is_csv else self._values(content)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                self._trouble("", "its compressed data is damaged or cut short", "Copy or download it again")

    def _trouble(self, place: str, what: str, remedy: str) -> None:
        self._tell(Problem(str(self.path), place, what, remedy))

    def _record(self, value: Any, place: str, number: int) -> Record:
        return Record(value, str(self.path), place, self._origin, number)

    def _values(self, content: Content) -> Iterator[Record]:
        """Yield values of JSON: line by line where the first line is a whole one, else as a stream of documents."""
        if content.peek(3)[:3] == _UTF8:
            content.read(3)
        is_array = content.peek(1).lstrip()[:1] == b"["
        first = b"" if is_array else content.readline(LARGEST)
        if not (is_array or first):
            return  # an empty file
        if first and (_ending(self.path) in (".jsonl", ".ndjson") or _is_json(first)):
            yield from self._lines(first, content)
        else:
            yield from self._documents(first, content, is_array)

    def _lines(self, first: bytes, content: Content) -> Iterator[Record]:
        number, line = 1, first
        while line:
            place = f"line {number}"
            if len(line) == LARGEST and not line.endswith(b"\n"):
                self._trouble(place, f"it is longer than {LARGEST:,} bytes", "Write one conversation on each line")
                while (line := content.readline(LARGEST)) and not line.endswith(b"\n"):
                    pass
            elif line.strip():
                try:
                    yield self._record(json.loads(line.decode("utf-8")), place, number)
                except UnicodeDecodeError as error:
                    self._trouble(place, f"byte {error.start} is not UTF-8", "Save it with the encoding UTF-8")
                except (ValueError, RecursionError):
                    cut = "" if line.endswith(b"\n") else "; the file ends within it, perhaps it was cut short"
                    self._trouble(place, f"it is not JSON{cut}", "Write one JSON value on each line")
            line, number = content.readline(LARGEST), number + 1

    def _documents(self, first: bytes, content: Content, is_array: bool) -> Iterator[Record]:
        """Yield the elements of an array, or JSON documents that stand one after another."""
        import ijson

        if not is_array and self.size > LARGEST:
            what = f"it is one JSON document of {self.size:,} bytes, too large to be read as a whole"
            return self._trouble("", what, "Write it as JSON Lines, as with: jq -c '.tickets[]' FILE > FILE.jsonl")
        number = 0
        what = "element" if is_array else "document"
        values = ijson.items(_Joined(first, content), "item" if is_array else "", multiple_values=True, use_float=True)
        try:
            for number, value in enumerate(values, 1):
                yield self._record(value, f"{what} {number}", number)
        except (ijson.JSONError, UnicodeDecodeError, RecursionError):
            wrong = "it is not JSON in UTF-8, or it was cut short"
            self._trouble(f"{what} {number + 1}", wrong, "Correct or download it again; what follows is not read")

    def _rows(self, content: Content) -> Iterator[Record]:
        with io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            head = text.readline(LARGEST)
            delimiter = max(",;\t", key=head.count)
            columns = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
            reader = csv.reader(iter(lambda: text.readline(LARGEST), ""), delimiter=delimiter, strict=True)
            for number, cells in self._cells(reader):
                place = f"line {reader.line_num + 1}"
                if any("\udc80" <= char <= "\udcff" for cell in cells for char in cell):
                    self._trouble(place, "it is not UTF-8", "Save it as CSV with the encoding UTF-8")
                elif len(cells) > len(columns):
                    self._trouble(place, "it has more cells than there are columns", "Put a text with commas in quotes")
                elif any(cell.strip() for cell in cells):
                    yield self._record(dict(zip(columns, cells, strict=False)), place, number)

    def _cells(self, reader: Reader) -> Iterator[tuple[int, list[str]]]:
        """Yield the numbered rows below the head that are CSV."""
        number = 0
        while True:
            number += 1
            limit = csv.field_size_limit(LARGEST)  # it counts for all readers of the process
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._trouble(f"line {reader.line_num + 1}", f"it is not valid CSV ({error})", "Check the quotes")
                continue
            finally:
                csv.field_size_limit(limit)
            yield number, cells


class _Joined:
    """A stream with the line before it that has been read already."""

    def __init__(self, first: bytes, rest: Content) -> None:
        self._first, self._rest = io.BytesIO(first), rest

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes: of the line at first, then of what follows."""
        return self._first.read(size) or self._rest.read(size)


def _ending(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
