"""What the tests of explanations share, and give back."""

from collections.abc import Iterator

import pytest

from tests.core.explain.networks import network


@pytest.fixture(autouse=True, scope="module")
def _networks_given_back(_memory_given_back: None) -> Iterator[None]:
    """A network, compiled and with its gradients, is some hundred megabytes: none stays for all."""
    yield
    network.cache_clear()
