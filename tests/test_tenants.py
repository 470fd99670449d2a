"""Nobody sees or changes what is not theirs; `python -m tests.tenants` sends ten thousand probes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.desk import Desk
from bot.models import Models
from tests.tenants import Tenant, probe, tenants


@pytest.fixture(scope="module")
def there(
    desk: Desk, models: Models, prepared_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Tenant]]:
    with tenants(desk, models, prepared_home, tmp_path_factory.mktemp("tenants")) as made:
        yield made


def test_no_proof_opens_anybody_elses_memory(there: list[Tenant]) -> None:
    outcome = probe(there, 600)

    assert outcome.leaks == []
    assert outcome.statuses[401] > 100
    assert outcome.statuses[200] > 50


def test_everybodys_own_proof_opens_their_own(there: list[Tenant]) -> None:
    """Else the probes could have found nothing."""
    for tenant in there:
        for proof in tenant.proofs:
            if proof.name == "the visitor's cookie":
                assert tenant.people[2].word in tenant.client.get("/memory", headers=proof.headers).text
            if proof.name.startswith("the team's"):
                session = tenant.people[0].session_id
                page = tenant.client.get(f"/team/conversations/{session}", headers=proof.headers)
                assert tenant.people[0].word in page.text


def test_a_leak_is_noticed(there: list[Tenant], monkeypatch: pytest.MonkeyPatch) -> None:
    everything = frozenset(person.word for person in there[0].people)
    wronged = [replace(proof, opens=frozenset()) for proof in there[0].proofs if everything <= proof.opens]
    monkeypatch.setattr(there[0], "proofs", wronged)
    monkeypatch.setattr(there[0], "routes", [("GET", "/team/conversations/{session_id}")])

    assert any("shows zq" in leak for leak in probe(there[:1], 20).leaks)
