import pytest

from core.errors import InvalidValue
from service.errors import NotAcceptable
from service.requests.negotiation import choose

ALL = ("json", "png", "npy")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("image/png", "png"),
        ("image/*", "png"),
        ("application/x-npy", "npy"),
        ("application/*", "json"),
        ("image/png;q=0.5, application/json;q=0.4", "png"),
        ("*/*;q=0.1, application/x-npy", "npy"),
        ("application/json;q=0, */*", "png"),
        ("text/html, */*;q=0.8", "json"),
        ("IMAGE/PNG", "png"),
        ("image/png;q=rubbish, application/json", "json"),
        ("image/png;q=1_0, application/json;q=0.5", "json"),
        ("image/png;q=nan, application/json;q=0.5", "json"),
        ("image/png;q=9, application/json", "json"),
    ],
)
def test_accept_chooses_the_form(accept: str | None, form: str) -> None:
    assert choose(ALL, None, accept) == form


def test_format_wins_over_accept() -> None:
    assert choose(ALL, "npy", "image/png") == "npy"


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "application/json;q=0", ""])
def test_what_cannot_be_made_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="format=json"):
        choose(("json",), None, accept)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(InvalidValue, match="json, png, npy"):
        choose(ALL, "tiff", None)
