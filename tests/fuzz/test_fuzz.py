"""A short campaign of each generator; `make fuzz` runs long ones."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.campaign import Campaign
from tests.fuzz.case import GENERATORS, Case, Generator
from tests.fuzz.pictures import broken_picture
from tests.fuzz.target import Target, target

CASES = 200


@pytest.fixture(scope="module")
def tried() -> Iterator[Target]:
    with target() as made:
        yield made


@pytest.mark.parametrize("generator", GENERATORS)
def test_nothing_that_is_sent_makes_the_service_fail(
    tried: Target, generator: Generator, tmp_path: Path
) -> None:
    said: list[str] = []
    campaign = Campaign(tried, tmp_path, seed=1, generators=(generator,), say=said.append)
    campaign.run(cases=CASES)
    assert campaign.tried[generator] == CASES
    assert said == []


def test_a_case_is_the_same_for_the_same_seed_and_replays(tried: Target, tmp_path: Path) -> None:
    first, second = (Campaign(tried, tmp_path, seed=7) for _ in range(2))
    for number in range(30):
        case = first.made(number)
        assert second.made(number) == case
        case.write(tmp_path / "case.json")
        assert Case.read(tmp_path / "case.json") == case


def test_a_fault_is_told_and_its_case_is_kept(tried: Target, tmp_path: Path) -> None:
    class Faulty(Target):
        def faults(self, case: Case) -> list[str]:
            return ["as it must be"]

    said: list[str] = []
    campaign = Campaign(Faulty(tried._client, tried._app), tmp_path, seed=3, say=said.append)
    campaign.run(cases=3)
    assert len(said) == campaign.failed.total() == 3
    assert len(list(tmp_path.glob("*-3-*.json"))) == 3
    assert not (tmp_path / "running.json").exists()


def test_what_the_service_must_not_do_is_noticed(tried: Target) -> None:
    """The oracle itself: a wrong name, a refused good form and an endpoint that is not there."""
    boundary = b"x"
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\nno\r\n--x--'
    )
    headers = ((b"content-type", b"multipart/form-data; boundary=" + boundary),)
    path = b"/v1/classify/batch"
    good = Case("multipart", "", body, path=path, headers=headers, names=("a.jpg",))
    assert tried.faults(good) == []
    wrong = Case("multipart", "", body, path=path, headers=headers, names=("b.jpg",))
    assert "b.jpg" in tried.faults(wrong)[0]
    cut = Case("multipart", "", body[:-5], path=path, headers=headers, names=("a.jpg",))
    assert "status 400 for a good form" in tried.faults(cut)[0]
    assert tried.faults(Case("headers", "", b"", path=b"/nowhere")) == []


def test_broken_pictures_are_of_every_kind() -> None:
    made = {broken_picture(random.Random(seed))[0].split(",")[0] for seed in range(1000)}
    assert len(made) > 35
