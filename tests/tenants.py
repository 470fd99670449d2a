"""Two tenants, and everything that proves somebody tried on everybody else: nobody sees or changes what is not theirs.

    python -m tests.tenants --probes 10000                        exit code 0 only when nothing leaked
    python -m tests.tenants --probes 10000 --models ~/.rapport    use models that have been prepared already

Two servers with homes of their own know customers of the same names. Every customer has said a word that nobody else
knows. A probe is one request to one of the servers: any route, with any cookie, token or key of either tenant, genuine
or not, and with the ids of somebody else's session, turns and memory wherever an id may stand. It leaks if the answer
holds a word of somebody whom the proof does not open, or is a server error; in the end, everybody's rows must be as
they were.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import jwt
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from bot.channels.caller import Callers
from bot.chatbot import Chatbot
from bot.desk import BUNDLED, Desk
from bot.desk_reader import read_desk
from bot.keys import Keys
from bot.models import Models, load, prepare
from bot.settings import Settings, read_settings
from bot.team import COOKIE as TEAM_COOKIE
from bot.team import Team
from bot.ui.visitor import COOKIE as VISITOR_COOKIE
from memory import Store
from memory.history import export, facts_of, transcript
from tests.bot.channels.serving import serving, whole

_PASSWORD = "a password of the tests"  # noqa: S105
_UNLIMITED = dict.fromkeys(("rate_customer", "rate_address", "rate_key"), "100000000/hour")
_OTHER_PATHS = ("/", "/nothing", "/gradio_api/info", "/gradio_api/queue/data", "/memory/", "/team/")
_ID_NAMES = ("session", "session_id", "turn", "customer", "customer_id", "user", "sender", "fact")


@dataclass(frozen=True)
class Person:
    """Somebody whose memory must stay theirs: `word` is what nobody else has said."""

    tenant: str
    customer_id: str
    session_id: str
    word: str
    turn_ids: tuple[int, ...]


@dataclass(frozen=True)
class Proof:
    """What a request may bring to prove somebody; `opens` are the people whose memory it may show, by their words."""

    name: str
    tenant: str
    headers: Mapping[str, str]
    opens: frozenset[str] = frozenset()


@dataclass
class Tenant:
    """A desk's server, its people, and what proves them."""

    name: str
    bot: Chatbot
    client: httpx.Client
    routes: Sequence[tuple[str, str]]
    people: Sequence[Person] = ()
    proofs: Sequence[Proof] = ()


@dataclass
class Outcome:
    """What the probes came to."""

    probes: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)


@contextmanager
def tenants(desk: Desk, models: Models, prepared: Path, scratch: Path) -> Iterator[list[Tenant]]:
    """Serve two tenants, with people who have said something."""
    with ExitStack() as stack:
        made = []
        for name in ("north", "south"):
            home = scratch / name
            home.mkdir()
            (home / "models").symlink_to((prepared / "models").resolve())
            settings = Settings(home=home, jwt_secret=f"the secret of the portal {name} ".ljust(40, "."), **_UNLIMITED)  # type: ignore[arg-type]
            own = replace(desk, settings=desk.settings.model_copy(update={"name": f"Desk {name}"}))
            bot = Chatbot(own, models, Store(settings.database), settings)
            stack.callback(bot.close)
            application = whole(bot)
            client = stack.enter_context(serving(application))
            made.append(Tenant(name, bot, client, _routes(application)))
        for tenant in made:
            _settle(tenant)
        yield made


def _routes(application: FastAPI) -> list[tuple[str, str]]:
    own = [
        (method, str(route.path))
        for route in iter_route_contexts(application.routes)
        if isinstance(route.original_route, APIRoute)
        for method in sorted(route.original_route.methods)
    ]
    return own + [("GET", path) for path in _OTHER_PATHS]


def _settle(tenant: Tenant) -> None:
    """Let people talk to a tenant's bot, and gather everything that proves somebody there."""
    bot, home = tenant.bot, tenant.bot.settings.home
    visitors = Callers(bot.settings, bot).visitors
    token, _ = visitors.issue()
    spent, _ = visitors.issue()
    visitor = visitors.proven(token) or ""
    tenant.people = [_talk(tenant, customer) for customer in ("customer:nora", "customer:tom", visitor)]
    nora, tom, web = (frozenset([person.word]) for person in tenant.people)
    bot.respond("hello", f"{tenant.name}-spent", visitors.proven(spent) or "")
    bot.join(visitors.proven(spent) or "", "customer:mallory")

    secret = bot.settings.jwt_secret.get_secret_value()

    def token_of(sub: str, life_s: int = 36_000, key: str = secret, algorithm: str = "HS256") -> str:
        return jwt.encode({"sub": sub, "exp": int(time.time()) + life_s}, key, algorithm)

    Team(home).set_password(_PASSWORD)
    team = Team(home).log_in(_PASSWORD, "") or ""
    keys = Keys(home)
    proofs: list[tuple[str, dict[str, str], frozenset[str]]] = [
        ("nobody", {}, frozenset()),
        ("nora's JWT", _bearer(token_of("nora")), nora),
        ("tom's JWT", _bearer(token_of("tom")), tom),
        ("mallory's JWT", _bearer(token_of("mallory")), frozenset()),
        ("an expired JWT", _bearer(token_of("nora", -60)), frozenset()),
        ("an unsigned JWT", _bearer(token_of("nora", key="", algorithm="none")), frozenset()),
        ("a tampered JWT", _bearer(token_of("mallory").replace(".", ".e", 1)), frozenset()),
        ("the visitor's token", _bearer(token), web),
        ("the visitor's cookie", {"Cookie": f"{VISITOR_COOKIE}={token}"}, web),
        ("another visitor's token", _bearer(visitors.issue()[0]), frozenset()),
        ("a spent visitor's cookie", {"Cookie": f"{VISITOR_COOKIE}={spent}"}, frozenset()),
        ("a claimed visitor", _bearer(visitor), frozenset()),
        ("a claimed cookie", {"Cookie": f"{VISITOR_COOKIE}={visitor}"}, frozenset()),
        ("a claimed customer", _bearer("customer:nora"), frozenset()),
        ("a server's key", _bearer(keys.add("server", ("chat", "memory"))), nora | tom),
        ("a key for metrics", _bearer(keys.add("metrics", ("metrics",))), frozenset()),
        ("a wrong key", _bearer(keys.add("gone", ("chat", "memory", "team"))[:-1]), frozenset()),
        ("the team's key", _bearer(keys.add("team", ("team",))), nora | tom | web),
        ("the team's cookie", {"Cookie": f"{TEAM_COOKIE}={team}"}, nora | tom | web),
    ]
    tenant.proofs = [Proof(name, tenant.name, headers, opens) for name, headers, opens in proofs]


def _talk(tenant: Tenant, customer_id: str) -> Person:
    word = f"zq{random.Random(f'{tenant.name} {customer_id}').getrandbits(60):x}"  # noqa: S311 (a name, no secret)
    session = f"{tenant.name}-{word[-6:]}"
    texts = (f"my email is {word}@example.com", f"the {word} is behind the shed", "I want to talk to a person")
    turns = tuple(tenant.bot.respond(text, session, customer_id).turn_id for text in texts)
    return Person(tenant.name, customer_id, session, word, turns)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def probe(there: Sequence[Tenant], count: int, seed: int = 0) -> Outcome:
    """Send probes and return what leaked."""
    chance, outcome = random.Random(seed), Outcome()  # noqa: S311 (probes are to be the same again)
    before = {person.word: _held(tenant, person) for tenant in there for person in tenant.people}
    combinations = _combinations(there, chance)
    for _ in range(count):
        tenant, person, proof, method, path = next(combinations)
        _send(outcome, chance, tenant, person, proof, method, path)
    for tenant in there:
        for person in tenant.people:
            if _held(tenant, person) != before[person.word]:
                outcome.leaks.append(f"what is held of {person.customer_id} of {tenant.name} is not what it was")
    return outcome


def _combinations(there: Sequence[Tenant], chance: random.Random) -> Iterator[tuple[Tenant, Person, Proof, str, str]]:
    """Yield every combination of server, person, proof and route, in a random order, again and again."""
    everything = [
        (tenant, person, proof, method, path)
        for tenant in there
        for owner in there
        for person in owner.people
        for other in there
        for proof in other.proofs
        for method, path in tenant.routes
        # Whoever may change something there is let do so: that is no probe.
        if method == "GET" or proof.tenant != tenant.name or not proof.opens
    ]
    while True:
        chance.shuffle(everything)
        yield from everything


def _send(
    outcome: Outcome, chance: random.Random, tenant: Tenant, person: Person, proof: Proof, method: str, path: str
) -> None:
    ids = {name: _id(name, person, chance) for name in _ID_NAMES}
    for name in {part[1:-1] for part in path.split("/") if part.startswith("{")}:
        path = path.replace(f"{{{name}}}", str(_id(name, person, chance)))
    query = {name: value for name, value in ids.items() if chance.random() < 0.25}
    said = {"text": "what do you know about me?", "message": "what did I say about the shed?"}
    chat = {"model": "rapport", "messages": [{"role": "user", "content": "what is my email?"}]}
    body: dict[str, Any] = {**ids, **said, **chat, "rating": -1, "message_id": chance.choice(person.turn_ids)}
    body = {name: value for name, value in body.items() if chance.random() < 0.7}
    headers = dict(proof.headers)
    if chance.random() < 0.3:
        headers["X-Rapport-Visitor"] = chance.choice([person.customer_id, f"{person.customer_id}.1999999999.x"])
    answer = tenant.client.request(
        method, path, params=query, headers=headers, json=body if method in ("POST", "PUT", "PATCH") else None
    )
    outcome.probes += 1
    outcome.statuses[answer.status_code] += 1
    opens = proof.opens if proof.tenant == tenant.name else frozenset()
    where = f"{method} {path} at {tenant.name} with {proof.name} of {proof.tenant}: {answer.status_code}"
    words = {one.word for one in _everybody(tenant, person)} - opens
    if shown := [word for word in words if word in answer.text]:
        outcome.leaks.append(f"{where} shows {', '.join(shown)}")
    if answer.status_code >= 500:
        outcome.leaks.append(where)


def _everybody(tenant: Tenant, person: Person) -> list[Person]:
    return [*tenant.people, person]


def _id(name: str, person: Person, chance: random.Random) -> str | int:
    if "session" in name:
        return person.session_id
    if "turn" in name or "message" in name:
        return chance.choice(person.turn_ids)
    if name == "fact":
        return "email"
    return chance.choice([person.customer_id, person.customer_id.partition(":")[2] or person.customer_id])


def _held(tenant: Tenant, person: Person) -> tuple[Any, ...]:
    """Return what is held of what a person said in the beginning."""
    store = tenant.bot.memory.store
    turns = transcript(store, person.session_id, person.customer_id)
    facts = [(fact.name, fact.value) for fact in facts_of(store, person.customer_id)]
    feedback = [row for row in export(store, person.customer_id)["feedback"] if row["turn_id"] in person.turn_ids]
    return tuple(turns), tuple(facts), len(feedback)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=10_000)
    parser.add_argument("--models", type=Path, help="a home with prepared models; they are made where there are none")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    prepared = read_settings(home=given.models).home
    desk = read_desk(BUNDLED)
    prepare(desk, prepared)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="rapport-") as scratch,
        tenants(desk, load(desk, prepared), prepared, Path(scratch)) as there,
    ):
        outcome = probe(there, given.probes, given.seed)
    for leak in outcome.leaks:
        sys.stderr.write(leak + "\n")
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(outcome.statuses.items()))
    sys.stdout.write(
        f"{outcome.probes} probes, {len(outcome.leaks)} leaks ({statuses}; seed {given.seed}, "
        f"{time.monotonic() - started:.0f} s)\n"
    )
    sys.exit(bool(outcome.leaks))


if __name__ == "__main__":
    main()
