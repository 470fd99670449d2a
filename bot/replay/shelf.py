"""Where runs and stories are: those under the home, and those elsewhere, of which the home keeps lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock

from bot.problems import RapportError
from bot.replay.run_folder import ASKED, REPLAYS, RUN, WORK, Run
from bot.replay.staging import LOG, Staging
from finetune.sheets import write_whole

STORIES = "stories"  # where a home keeps its stories
_RUNS_ELSEWHERE, _STORIES_ELSEWHERE, _LOCK = "elsewhere.json", "stories.json", ".lock"
_BEGUN = (ASKED, "log.draft", LOG, "plan.json")  # in `work`: with one of them, a run has begun
_STAMP = len("2026-11-29T103000-")  # before the log's name in that of a folder
WHOLE = "-whole"  # how the folder of a run with all memory ends that is made beside one without some


def new_folder(home: Path, out: Path | None, log: str) -> Path:
    """Return the folder for a run of a log, named by the time unless `out` names it; the home knows of it from now on.

    Raises:
        RapportError: there is something in it.
    """
    if out is None:
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H%M%S")
        folder = home / REPLAYS / f"{stamp}-{Path(log).name.partition('.')[0]}"
    else:
        folder = out
    if folder.exists() and any(one.name != _LOCK for one in folder.iterdir()):
        raise RapportError(f"There is something in {folder}. Name another folder, or go on with --resume.")
    folder.mkdir(parents=True, exist_ok=True)
    note(home, folder)
    return folder


def interrupted(home: Path, out: Path | None, log: str) -> Path:
    """Return the folder of the run of a log to go on with: `out`, else the newest that is not whole.

    Without `out`, runs that the team's page began are left to it, and those made beside another one to that.

    Raises:
        RapportError: there is none, or the one in `out` is of another log.
    """
    if out is not None and (out / WORK).is_dir():
        if (other := _log_of(out)) not in ("", log):
            raise RapportError(f"The run in {out} is one of {other}. Go on with that log, or name another folder.")
        return out
    for folder in sorted((home / REPLAYS).glob("*/"), reverse=True) if out is None else ():
        beside = folder.name.endswith(WHOLE) and folder.with_name(folder.name.removesuffix(WHOLE)).is_dir()
        if (folder / WORK).is_dir() and not (folder / WORK / ASKED).is_dir() and not beside:
            own = _log_of(folder)
            if own == log or (not own and folder.name[_STAMP:] == Path(log).name.partition(".")[0]):
                return folder
    raise RapportError(f"There is no replay of {log} that was interrupted. Begin one, without --resume.")


def _log_of(folder: Path) -> str:
    """Return the name of the log that a run is of; empty where that had not been read yet."""
    if (folder / RUN).is_file():
        return Run(folder).info.log.name
    staged = folder / WORK / LOG
    return Staging(staged).log.name if staged.is_file() else ""


def find(home: Path, name: str) -> Run:
    """Return the run of a name, or in a folder.

    Raises:
        RapportError: there is none, or it is damaged.
    """
    for folder in (home / REPLAYS / name, Path(name)):
        if (folder / RUN).is_file():
            return Run(folder)
    raise RapportError(f"There is no run {name!r}. `rapport replay list` shows those there are.")


def whole_run(folder: Path) -> Run | None:
    """Return the run in a folder, None where it is not whole.

    Raises:
        RapportError: it is damaged.
    """
    return Run(folder) if (folder / RUN).is_file() else None


def runs(home: Path) -> list[Path]:
    """Return the folders of the runs that are there, whole or not."""
    return [folder for folder in folders(home) if (folder / RUN).is_file() or (folder / WORK).is_dir()]


def folders(home: Path) -> list[Path]:
    """Return all folders with runs that the home knows of, those elsewhere last; some may be gone."""
    here = sorted(path for path in (home / REPLAYS).glob("*/") if (path / RUN).is_file() or (path / WORK).is_dir())
    return [*here, *_listed(home, _RUNS_ELSEWHERE)]


def has_begun(folder: Path) -> bool:
    """Return whether a folder holds a run that has not ended; without a run's files, its `work` is somebody else's."""
    return any((folder / WORK / name).exists() for name in _BEGUN)


def lock(folder: Path) -> FileLock:
    """Return the lock to hold while a run in a folder is changed, or while what it holds is written anew."""
    return FileLock(folder / _LOCK)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Hold a run's lock while what it holds is read; one in a folder that cannot be written to is changed by nobody."""
    held = lock(folder)
    with suppress(OSError):
        held.acquire()
    try:
        yield
    finally:
        held.release()


def note(home: Path, folder: Path) -> None:
    """Let the home know of the folder of a run that is not right under `HOME/replays/`.

    Raises:
        OSError: the list cannot be written.
    """
    if folder.resolve().parent != (home / REPLAYS).resolve():
        _list(home, _RUNS_ELSEWHERE, folder)


def note_stories(home: Path, folder: Path) -> None:
    """Let the home know of a folder outside of it that stories are written to, which may hold anything else too.

    Raises:
        OSError: the list cannot be written.
    """
    if not any(folder.resolve().is_relative_to((home / one).resolve()) for one in (STORIES, REPLAYS)):
        _list(home, _STORIES_ELSEWHERE, folder)


def _list(home: Path, name: str, folder: Path) -> None:
    """Put a folder into one of the home's lists."""
    (home / REPLAYS).mkdir(parents=True, exist_ok=True)
    with lock(home / REPLAYS):
        known = _listed(home, name)
        if (path := folder.resolve()) not in known:
            write_whole(home / REPLAYS / name, json.dumps([*map(str, known), str(path)], indent=1).encode() + b"\n")


def _listed(home: Path, name: str) -> list[Path]:
    file = home / REPLAYS / name
    return [Path(path) for path in json.loads(file.read_text(encoding="utf-8"))] if file.is_file() else []


def missing(home: Path) -> list[Path]:
    """Return the folders elsewhere that are not there any more: moved, perhaps, or on a disk that is not mounted."""
    return [folder for folder in elsewhere(home) if not folder.is_dir()]


def elsewhere(home: Path) -> list[Path]:
    """Return the folders in the home's lists, of runs and of stories."""
    return [*_listed(home, _RUNS_ELSEWHERE), *_listed(home, _STORIES_ELSEWHERE)]
