"""What `make flip-test` shows in many flips, in a few."""

from pathlib import Path

import pytest

from core.gallery.sqlite.local import DATABASE, LocalGallery
from tests.flips.__main__ import rows
from tests.flips.campaign import Campaign, compared
from tests.flips.places import flips
from tests.flips.sample import CLOSED, KILLED, make


def test_one_flipped_byte_of_a_data_folder_is_never_served_as_sound(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, seed=7)
    campaign.run(8)
    assert campaign.failed == []
    assert rows(campaign)[-1].startswith("| all | 8 | ")


def test_every_file_of_the_folder_has_its_flips_and_the_same_seed_gives_the_same(
    tmp_path: Path,
) -> None:
    make(tmp_path)
    drawn = list(flips(tmp_path, 500, 0))
    assert drawn == list(flips(tmp_path, 500, 0))
    whole = {each.relative_to(tmp_path / CLOSED) for each in (tmp_path / CLOSED).rglob("*.*")}
    assert whole <= {each.file.relative_to(CLOSED) for each in drawn if each.state == CLOSED}
    assert any(each.file.name == f"{DATABASE}-wal" for each in drawn if each.state == KILLED)


def test_a_flip_changes_one_byte(tmp_path: Path) -> None:
    make(tmp_path)
    for flip in flips(tmp_path, 20, 1):
        file = tmp_path / flip.file
        before = file.read_bytes()
        flip.apply(tmp_path / flip.state)
        after = file.read_bytes()
        assert [at for at in range(len(before)) if before[at] != after[at]] == [flip.offset]
        file.write_bytes(before)


def test_what_is_compared_tells_another_answer_from_a_missing_one() -> None:
    assert compared(b"a", b"a") == ([], [])
    assert compared(b"a", b"b") == ([b"b"], [])
    assert compared({"a": 1, "b": 2}, {"a": 1}) == ([], ["b"])
    assert compared({"a": 1}, {"a": 2, "c": 3}) == ([2, 3], [])


def test_the_campaign_notices_what_verify_does_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalGallery, "verify", lambda _: [])
    campaign = Campaign(tmp_path, seed=7, say=lambda _: None)
    campaign.run(8)
    assert campaign.failed
