"""Every setting: name, default, bounds and meaning; read once, never at import."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.config import EngineConfig
from core.images.decode import ImageLimits
from core.models.manifest import model_folders
from core.models.sources import DEFAULT_MODEL
from service.addressing import clean_prefix
from service.env_file import ENCODING, require_readable
from service.hosts import require_host

PREFIX = "SEETHROUGH_"

_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s@]+")


CommaSeparated = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class Settings(BaseSettings):
    """`SEETHROUGH_<NAME>`; command line beats environment beats `.env`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding=ENCODING,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    def __init__(self, **given: Any) -> None:
        """As pydantic's, and raise SettingsUnreadable for a `.env` that cannot be read."""
        file = given.get("_env_file", self.model_config["env_file"])
        if file is not None:
            require_readable(Path(file))
        super().__init__(**given)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    models: CommaSeparated = Field(
        (DEFAULT_MODEL,),
        min_length=1,
        description="Models to serve, separated by commas: efficientnet-lite0, torchvision:NAME, "
        "timm:NAME, or the name of a folder in SEETHROUGH_MODELS_DIR; if unset, "
        "efficientnet-lite0 and all of those folders.",
    )
    models_dir: Path | None = Field(
        None,
        description="Directory of networks of one's own: folders that each hold a model.toml.",
    )
    data_dir: Path = Field(
        Path("seethrough-data"),
        description="Directory of stored pictures: database and indexes. One process may have it.",
    )
    sweep_bytes_s: int = Field(
        2**20,
        ge=0,
        le=2**40,
        description="So many bytes of what is stored are compared with their checksums in a "
        "second, in the background; 0 for none.",
    )
    default_model: str | None = Field(
        None, description="Model used when a request names none; the first of the models if unset."
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N."
    )
    threads: int = Field(
        0, ge=0, le=1024, description="CPU threads of a forward; 0 takes all cores."
    )
    decode_threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="Threads that decode large pictures; 0 takes one per core. Small ones have one "
        "more.",
    )
    memory_budget: int = Field(
        0,
        ge=0,
        le=2**44,
        description="Bytes that requests may take at once, a quarter as they come and half as "
        "pixels; 0 takes a quarter of the machine's or the container's memory, at most 1 GiB.",
    )
    max_body_bytes: int = Field(
        20 * 2**20, ge=1024, le=2**30, description="Largest request body, in bytes."
    )
    max_pixels: int = Field(
        50_000_000, ge=1, le=10**9, description="Largest picture, in pixels (width x height)."
    )
    max_aspect: float = Field(
        50.0, ge=1, le=10_000, description="Most elongated picture: longer side / shorter side."
    )
    max_files: int = Field(64, ge=1, le=4096, description="Most pictures in one multipart request.")
    max_forwards: int = Field(
        5000, ge=2, le=1_000_000, description="Most forwards one explanation may take."
    )
    queue_size: int = Field(
        256, ge=1, le=100_000, description="Requests under way at once; one more is answered 503."
    )
    max_wait_s: float = Field(
        2.0,
        gt=0,
        le=3600,
        description="Longest time that others may hold a request up, as measured when it comes; "
        "where it would be more it is answered 503 at once.",
    )
    deadline_s: float = Field(
        60.0, gt=0, le=3600, description="Longest time a request may take, in seconds."
    )
    body_timeout_s: float = Field(
        20.0, gt=0, le=3600, description="Longest time a request's body may take to arrive."
    )
    drain_delay_s: float = Field(
        1.0,
        ge=0,
        le=300,
        description="After SIGTERM: how long new requests are still answered (503), so that "
        "nothing that reached the socket is lost, before it closes.",
    )
    drain_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="After SIGTERM: how long work under way may take to end."
    )
    root_path: str = Field(
        "",
        description="Path prefix below which a proxy publishes the service, such as /vision; a "
        "trusted proxy's X-Forwarded-Prefix beats it.",
    )
    trusted_proxies: CommaSeparated = Field(
        ("127.0.0.1", "::1"),
        description="Addresses and networks of proxies whose X-Forwarded-For, -Proto, -Prefix "
        "and -Host are believed, separated by commas; * for whoever connects.",
    )
    cors_origins: CommaSeparated = Field(
        (),
        description="Origins whose pages may call, such as https://app.example, separated by "
        "commas; * for all. None: pages of other origins may not.",
    )
    allowed_hosts: CommaSeparated = Field(
        (),
        description="Names by which the service may be addressed, separated by commas: "
        "vision.example, *.example for all below it, * for every one. localhost and the address "
        "it listens on always may; so may every address (not name) if that is 0.0.0.0 or ::.",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Connections open at once; one more takes the place of the longest idle one, "
        "or is answered 503. Fewer where the system allows fewer open files.",
    )
    max_connections_per_address: int = Field(
        500,
        ge=1,
        le=1_000_000,
        description="Of one client (of IPv6 the first 64 bits); trusted proxies may have all.",
    )
    max_header_bytes: int = Field(
        65_536,
        ge=1024,
        le=2**20,
        description="Longest head of a request: its line and headers, each counted with 32 bytes "
        "more.",
    )
    header_timeout_s: float = Field(
        10.0, gt=0, le=3600, description="Longest time a request's head may take to arrive."
    )
    stall_timeout_s: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="Longest time that nothing of a body may come, or nothing of an answer be "
        "read.",
    )
    keep_alive_s: int = Field(
        75,
        ge=1,
        le=3600,
        description="How long a connection may stay idle between requests; longer than a proxy "
        "keeps its own.",
    )
    api_keys: Secrets = Field(
        (),
        description="Keys that may call /v1, separated by commas; none means no key is needed.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text for people, json for machines; one line per event."
    )

    @field_validator(
        "models", "api_keys", "cors_origins", "trusted_proxies", "allowed_hosts", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(each.strip() for each in value.split(",") if each.strip())
        return value

    @field_validator("root_path")
    @classmethod
    def _prefix(cls, value: str) -> str:
        prefix = clean_prefix(value if not value or value.startswith("/") else f"/{value}")
        if prefix is None:
            raise ValueError("not a path: letters, digits, '.', '_', '~' and '-' between slashes")
        return prefix

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(each.rstrip("/").lower() for each in value)
        for each in origins:
            if not _ORIGIN.fullmatch(each):
                raise ValueError(f"{each!r} is no origin: scheme://host, scheme://host:port or *")
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(require_host(each) for each in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if each != "*":
                ip_network(each)  # its ValueError names what is wrong
        return value

    def all_models(self) -> tuple[str, ...]:
        """Names of the models to serve.

        Raises:
            ModelUnusable: the directory of models cannot be used.
        """
        if "models" in self.model_fields_set or self.models_dir is None:
            return self.models
        return (*self.models, *(folder.name for folder in model_folders(self.models_dir)))

    def engine_config(self) -> EngineConfig:
        """What the engine needs to know of these settings."""
        return EngineConfig(
            models=self.all_models(),
            models_dir=self.models_dir,
            data_dir=self.data_dir,
            sweep_bytes_s=self.sweep_bytes_s,
            default_model=self.default_model,
            device=self.device,
            limits=ImageLimits(
                max_bytes=self.max_body_bytes,
                max_pixels=self.max_pixels,
                max_aspect=self.max_aspect,
            ),
            queue_size=self.queue_size,
            max_wait_s=self.max_wait_s,
            decode_threads=self.decode_threads,
            memory_budget=self.memory_budget,
            threads=self.threads,
            limit_forwards=self.max_forwards,
        )
