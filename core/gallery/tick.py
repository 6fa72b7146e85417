"""Owns `Tick`, how long work asks whether it is still wanted; refuses to know who wants it."""

from collections.abc import Callable

Tick = Callable[[], None]
"""Called between pieces of work that takes long; raises to end it."""


def go_on() -> None:
    """The tick of work that nothing ends early."""
