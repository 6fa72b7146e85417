import weakref
from collections.abc import Iterator

import pytest

from core.compute import decoders
from core.compute.call import Call
from core.errors import ImageCorrupt, QueueFull
from core.images.cost import Cost, Reserve
from tests.core.compute.studio import BUDGET, MEGA, Gate, Studio


@pytest.fixture
def studio() -> Iterator[Studio]:
    studio = Studio()
    yield studio
    studio.decoders.close()


def test_a_small_picture_overtakes_large_ones(studio: Studio) -> None:
    gate = Gate()
    first = studio.decoders.submit(studio.picture("first", 50 * MEGA, then=gate), Call())
    assert gate.entered.wait(10)
    large = studio.decoders.submit(studio.picture("large", 50 * MEGA), Call())
    small = studio.decoders.submit(studio.picture("small", 1000), Call())
    assert small.result(10) == "small"
    assert not first.done()
    assert not large.done()
    gate.open()
    assert large.result(10) == "large"


def test_of_those_that_wait_the_smaller_go_first(studio: Studio) -> None:
    gate = Gate()
    studio.decoders.submit(studio.picture("first", 50 * MEGA, then=gate), Call())
    assert gate.entered.wait(10)
    sizes = {"large": 50 * MEGA, "middle": 24 * MEGA, "phone": 12 * MEGA}
    futures = [studio.decoders.submit(studio.picture(*each), Call()) for each in sizes.items()]
    studio.until(lambda: studio.waits(3))
    gate.open()
    for each in futures:
        each.result(10)
    assert studio.done == ["first", "phone", "middle", "large"]


def test_a_request_of_many_pictures_lets_others_go_between(studio: Studio) -> None:
    gate, batch = Gate(), Call()
    studio.decoders.submit(studio.picture("first", 50 * MEGA, then=gate), batch)
    assert gate.entered.wait(10)
    names = [f"of the batch {i}" for i in range(5)]
    many = [studio.decoders.submit(studio.picture(name, 50 * MEGA), batch) for name in names]
    one = studio.decoders.submit(studio.picture("another's", 50 * MEGA), Call())
    studio.until(lambda: studio.waits(6))
    gate.open()
    for each in (*many, one):
        each.result(10)
    assert studio.done == ["first", "another's", *names]


def test_a_large_picture_does_not_wait_for_ever(studio: Studio) -> None:
    gate = Gate()
    studio.decoders.submit(studio.picture("first", 50 * MEGA, then=gate), Call())
    assert gate.entered.wait(10)
    large = studio.decoders.submit(studio.picture("large", 50 * MEGA), Call())
    studio.until(lambda: studio.waits(1))
    studio.clock.now += 60
    smaller = studio.decoders.submit(studio.picture("smaller", 2 * MEGA), Call())
    studio.until(lambda: studio.waits(2))
    gate.open()
    assert (large.result(10), smaller.result(10)) == ("large", "smaller")
    assert studio.done == ["first", "large", "smaller"]


def test_pictures_at_once_take_no_more_than_the_budget() -> None:
    studio = Studio(threads=8)
    made = [studio.picture(f"{i}", 5 * MEGA, 40 * MEGA) for i in range(12)]
    futures = [studio.decoders.submit(each, Call()) for each in made]
    for each in futures:
        each.result(10)
    assert 0 < max(studio.at_once) <= BUDGET
    studio.until(lambda: studio.sample("seethrough_decode_bytes") == 0)
    studio.decoders.close()


def test_a_picture_beyond_the_budget_is_decoded_alone() -> None:
    studio = Studio(threads=4)
    made = [studio.picture("huge", 50 * MEGA, 2 * BUDGET)]
    made += [studio.picture(f"{i}", 5 * MEGA, 40 * MEGA) for i in range(6)]
    futures = [studio.decoders.submit(each, Call()) for each in made]
    for each in futures:
        each.result(10)
    assert max(studio.at_once) == 2 * BUDGET
    studio.decoders.close()


def test_a_large_picture_that_nobody_waits_for_is_let_go_and_never_decoded(
    studio: Studio,
) -> None:
    gate = Gate()
    studio.decoders.submit(studio.picture("first", 50 * MEGA, then=gate), Call())
    assert gate.entered.wait(10)
    work = studio.picture("gone", 50 * MEGA)
    held = weakref.ref(work)
    gone = studio.decoders.submit(work, Call())
    studio.until(lambda: studio.waits(1))
    del work
    assert gone.cancel()
    assert studio.waits(0)
    gate.open()
    assert studio.decoders.submit(studio.picture("next", 50 * MEGA), Call()).result(10)
    assert studio.done == ["first", "next"]
    studio.until(lambda: held() is None)


def test_what_cannot_be_decoded_raises_and_gives_its_room_back(studio: Studio) -> None:
    def fail() -> None:
        raise ImageCorrupt("damaged")

    for pixels in (1000, 50 * MEGA):
        failed = studio.decoders.submit(studio.picture("bad", pixels, then=fail), Call())
        with pytest.raises(ImageCorrupt, match="damaged"):
            failed.result(10)
    studio.until(lambda: studio.sample("seethrough_decode_bytes") == 0)
    assert studio.decoders.submit(studio.picture("good", 50 * MEGA), Call()).result(10) == "good"


def test_a_cost_that_grows_is_waited_for_anew() -> None:
    studio = Studio(threads=2)
    gate = Gate()
    other = studio.decoders.submit(studio.picture("other", 2 * MEGA, 60 * MEGA, gate), Call())
    assert gate.entered.wait(10)

    def work(reserve: Reserve) -> str:
        reserve(Cost(2 * MEGA, 30 * MEGA))
        reserve(Cost(2 * MEGA, 60 * MEGA))
        assert other.done()
        return "grown"

    grown = studio.decoders.submit(work, Call())
    studio.until(lambda: studio.waits(1))
    gate.open()
    assert grown.result(10) == "grown"
    studio.decoders.close()


def test_a_large_picture_that_would_be_late_is_refused_at_once(studio: Studio) -> None:
    gate = Gate()
    studio.decoders.submit(studio.picture("first", 50 * MEGA, then=gate), Call())
    assert gate.entered.wait(10)
    for _ in range(10):
        studio.decoders.submit(studio.picture("large", 50 * MEGA), Call())
    studio.until(lambda: studio.waits(10))
    late = studio.decoders.submit(studio.picture("late", 50 * MEGA), Call(deadline=2.0))
    with pytest.raises(QueueFull) as refused:  # eleven are thought to take half a second each
        late.result(10)
    assert refused.value.retry_after_s >= 1
    phone = studio.decoders.submit(studio.picture("phone", 12 * MEGA), Call(deadline=2.0))
    studio.until(lambda: studio.waits(11))
    gate.open()
    assert phone.result(10) == "phone"


def test_a_probe_of_health_goes_before_small_pictures_that_wait() -> None:
    studio = Studio()
    gates = [Gate(), Gate()]
    for gate in gates:
        studio.decoders.submit(studio.picture("busy", 1000, then=gate), Call())
        assert gate.entered.wait(10)
    small = studio.decoders.submit(studio.picture("small", 1000), Call())
    probe = studio.decoders.submit(studio.picture("probe", 1), Call(urgent=True))
    gates[0].open()
    assert (probe.result(10), small.result(10)) == ("probe", "small")
    assert studio.opened == ["busy", "busy", "probe", "small"]
    gates[1].open()
    studio.decoders.close()


def test_memory_goes_back_to_the_system_after_large_pictures_only(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(decoders, "give_memory_back", lambda: given.append("back"))
    studio.decoders.submit(studio.picture("small", 1000), Call()).result(10)
    assert given == []
    studio.decoders.submit(studio.picture("large", 50 * MEGA), Call()).result(10)
    studio.until(lambda: given == ["back"])


def test_closing_cancels_what_waits(studio: Studio) -> None:
    gate = Gate()
    first = studio.decoders.submit(studio.picture("first", 50 * MEGA, then=gate), Call())
    assert gate.entered.wait(10)
    waiting = studio.decoders.submit(studio.picture("waiting", 50 * MEGA), Call())
    studio.decoders.close()
    gate.open()
    assert waiting.cancelled()
    assert first.result(10) == "first"
    assert studio.decoders.submit(studio.picture("late", 1000), Call()).cancelled()
