import pytest
from pydantic import ValidationError

from service.settings import PREFIX, Settings
from tests.conftest import settings


def test_defaults_are_those_of_the_contract() -> None:
    chosen = settings()
    assert (chosen.host, chosen.port) == ("127.0.0.1", 8000)
    assert chosen.models == ("efficientnet-lite0",)
    assert chosen.device == "auto"


def test_environment_beats_the_env_file_and_arguments_beat_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    file = f"{tmp_path}/.env"
    with open(file, "w") as env:
        env.write(f"{PREFIX}PORT=1\n{PREFIX}QUEUE_SIZE=11\n{PREFIX}DEVICE=cpu\n")
    monkeypatch.setenv(f"{PREFIX}QUEUE_SIZE", "12")
    monkeypatch.setenv(f"{PREFIX}DEVICE", "cuda")
    chosen = Settings(_env_file=file, device="cuda:1")  # type: ignore[call-arg]
    assert (chosen.port, chosen.queue_size, chosen.device) == (1, 12, "cuda:1")


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}MODELS", "efficientnet-lite0, timm:resnet18,")
    assert settings().models == ("efficientnet-lite0", "timm:resnet18")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("device", "tpu"),
        ("queue_size", "0"),
        ("max_pixels", "0"),
        ("max_body_bytes", "1"),
        ("deadline_s", "0"),
        ("models", ""),
        ("log_level", "loud"),
        ("root_path", "/a b"),
        ("root_path", "https://host/a"),
        ("trusted_proxies", "10.0.0.0/33"),
        ("trusted_proxies", "proxy"),
        ("cors_origins", "app.example"),
        ("cors_origins", "https://app.example/page"),
    ],
)
def test_a_value_out_of_bounds_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        settings(**{name: value})


def test_keys_are_not_printed() -> None:
    assert "hunter2" not in repr(settings(api_keys="hunter2"))
