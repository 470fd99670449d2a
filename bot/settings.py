"""All settings of a running bot: environment variables `RAPPORT_*`, over an optional `rapport.toml`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from bot.desk import BUNDLED
from bot.problems import RapportError


class Settings(BaseSettings):
    """Read once, validated, passed in."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_", toml_file="rapport.toml", extra="forbid", frozen=True)

    home: Path = Field(Path.home() / ".rapport", description="Where all state is kept: database, models, secrets.")
    desk: Path = Field(BUNDLED, description="The desk folder. The bundled desk if not set.")
    database_url: str = Field("", description="A database other than SQLite in the home folder.")
    host: str = Field("127.0.0.1", description="The address to serve on.")
    port: int = Field(7860, ge=1, le=65535, description="The port to serve on.")
    max_message_chars: int = Field(4000, ge=100, le=100_000, description="Longer messages are not read.")
    max_waiting_turns: int = Field(200, ge=0, description="Messages that wait for the bot before more are refused.")
    chat_model: str = Field("", description="A chat model as `init_chat_model` names it, e.g. openai:gpt-5-mini.")
    chat_base_url: str = Field("", description="The address of an OpenAI-compatible server.")
    chat_api_key: SecretStr = Field(SecretStr(""), description="The chat model's key.")
    chat_timeout_s: float = Field(20, gt=0, description="Seconds after which the bot answers without the chat model.")

    jwt_secret: SecretStr = Field(SecretStr(""), description="What a portal signs its customers' tokens with (HS256).")
    jwt_public_key: Path | None = Field(None, description="A PEM file: checks tokens signed by RS256 or ES256.")
    jwt_audience: str = Field("", description="The `aud` that customers' tokens must have.")

    chatwoot_url: str = Field("", description="A Chatwoot to answer in, as https://chat.shop.example.")
    chatwoot_token: SecretStr = Field(SecretStr(""), description="The access token of its agent bot.")
    chatwoot_secret: SecretStr = Field(
        SecretStr(""), validate_default=True, description="What Chatwoot signs the bot's webhooks with."
    )

    rate_customer: str = Field("120/minute", description="What one customer may ask for, as `limits` writes it.")
    rate_address: str = Field("600/minute", description="What one network address may ask for.")
    rate_key: str = Field("6000/minute", description="What one API key may ask for.")
    trusted_proxies: str = Field("127.0.0.1", description="Proxies whose X-Forwarded-For and -Proto are believed.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="What is logged.")

    tracker: Literal["", "tensorboard", "wandb"] = Field("", description="Where trainings may be watched.")

    @field_validator("home", "desk", "jwt_public_key")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return path and path.expanduser()

    @field_validator("rate_customer", "rate_address", "rate_key")
    @classmethod
    def _is_rate(cls, rate: str) -> str:
        if not re.fullmatch(r"[1-9]\d{0,8} ?(?:/|per) ?(?:second|minute|hour|day)", rate):
            raise ValueError("it must be like 120/minute: a number a second, minute, hour or day")
        return rate

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        for one in filter(None, (part.strip() for part in proxies.split(","))):
            try:
                ipaddress.ip_network(one, strict=False)
            except ValueError:
                raise ValueError("it must be addresses or networks like 10.0.0.0/8, with commas between them") from None
        return proxies

    @field_validator("jwt_secret")
    @classmethod
    def _is_long(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < 32:  # RFC 7518, section 3.2
            raise ValueError("it must have at least 32 characters")
        return secret

    @field_validator("chatwoot_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
            raise ValueError("it must be an address like https://chat.shop.example")
        return url.rstrip("/")

    @field_validator("chatwoot_secret")
    @classmethod
    def _goes_with_the_rest(cls, secret: SecretStr, given: ValidationInfo) -> SecretStr:
        rest = (given.data.get("chatwoot_url"), given.data.get("chatwoot_token"))
        if len({bool(_plain(value)) for value in (secret, *rest)}) > 1:
            raise ValueError("RAPPORT_CHATWOOT_URL, RAPPORT_CHATWOOT_TOKEN and this must be set together")
        return secret

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take constructor arguments first, then the environment, then `rapport.toml`."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'rapport.sqlite'}"


def settings_as_text(settings: Settings, mark: Callable[[str], str]) -> dict[str, str]:
    """Return all settings by name, of secrets and of addresses that may hold one a mark alone."""
    return {
        name: mark(f"{name} {_plain(value)}") if name in _SECRET and _plain(value) else _plain(value)
        for name, value in settings
    }


_SECRET = ("jwt_secret", "chat_api_key", "chatwoot_token", "chatwoot_secret", "database_url", "chat_base_url")


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else "" if value is None else str(value)


def read_settings(**given: object) -> Settings:
    """Return the settings; values that are given and not None come first.

    Raises:
        RapportError: a setting has a value it cannot have.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise RapportError("A setting is wrong. " + "; ".join(map(_mistake, error.errors()))) from None
    except ValueError as error:
        raise RapportError(f"rapport.toml cannot be read: {error}") from None


def _mistake(error: ErrorDetails) -> str:
    name = str(error["loc"][0])
    got = "" if name in _SECRET else f" (got {error['input']!r})"
    return f"RAPPORT_{name.upper()}: {error['msg']}{got}"
