"""Who goes first, of several clients."""

from collections.abc import Callable

from core.compute.call import Call
from tests.core.compute.studio import BUDGET, MEGA, Gate, Studio


def test_large_pictures_of_a_client_with_few_go_before_those_of_one_with_many() -> None:
    studio, gate = Studio(), Gate()

    def submit(client: str, name: str, then: Callable[[], object]) -> None:
        work = studio.picture(name, 50 * MEGA, BUDGET, then)
        studio.decoders.submit(work, Call(client=client))

    def takes_a_second() -> None:
        studio.clock.now += 1.0

    submit("", "first", gate)
    assert gate.entered.wait(10)
    studio.clock.now = 1.0
    for number in range(4):
        submit("greedy", f"greedy {number}", takes_a_second)
    studio.until(lambda: studio.waits(4))
    for number in range(2):
        submit("polite", f"polite {number}", takes_a_second)
    studio.until(lambda: studio.waits(6))
    gate.open()
    studio.until(lambda: len(studio.done) == 7)
    order = ["greedy 0", "polite 0", "greedy 1", "polite 1", "greedy 2", "greedy 3"]
    assert studio.done == ["first", *order]


def test_small_pictures_of_a_client_with_few_go_before_those_of_one_with_many() -> None:
    studio = Studio()
    gates = [Gate(), Gate()]
    for gate in gates:
        studio.decoders.submit(studio.picture("busy", 1000, then=gate), Call(client="greedy"))
        assert gate.entered.wait(10)
    for number in range(3):
        call = Call(client="greedy")
        studio.decoders.submit(studio.picture(f"greedy {number}", 1000), call)
    last = studio.decoders.submit(studio.picture("polite", 1000), Call(client="polite"))
    gates[0].open()
    assert last.result(10) == "polite"
    studio.until(lambda: len(studio.opened) == 6)
    assert studio.opened[2] == "polite"
    gates[1].open()
    studio.decoders.close()
