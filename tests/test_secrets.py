from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, SecretBytes, SecretStr

from bot.secrets import secrets_of


class Server(BaseModel):
    name: str
    password: SecretStr | None = None


class Whole(BaseModel):
    token: SecretStr
    raw: SecretBytes
    servers: Mapping[str, Server]
    others: tuple[Server, ...] = ()
    lists: list[list[SecretStr]] = []


def test_every_secret_is_found_however_deep_and_nothing_else() -> None:
    settings = Whole(
        token=SecretStr("one"),
        raw=SecretBytes(b"two\xff"),
        servers={"a": Server(name="plain", password=SecretStr("three"))},
        others=(Server(name="none"), Server(name="empty", password=SecretStr(""))),
        lists=[[SecretStr("four")], []],
    )
    assert secrets_of(settings) == {"one", "two\ufffd", "three", "four"}
