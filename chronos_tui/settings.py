"""The terminal program's settings: where the state is kept and which server to ask.

Each is taken from the flag, else the environment, else `chronos.toml`, else the default. The daemon's own settings
are not read here.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from scheduler_daemon.contract.places import default_config, default_state, places

DEFAULT_PORT = 7611


class SettingsError(ValueError):
    """A setting cannot be used; the message names it, where it came from and what to do."""


class Address(NamedTuple):
    """A unix socket's `path`, or else a `host` and its TCP `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `unix:///path` or `http://host:port`. Raises SettingsError."""
    how = "write unix:///path/to/api.sock or http://host:port"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise SettingsError(f"{text!r} is not a server's address ({error}); {how}") from None
    if url.scheme == "unix" and not url.netloc and url.path.startswith("/"):
        return Address(path=unquote(url.path))
    if url.scheme == "http" and url.hostname and url.path in {"", "/"} and not url.query:
        return Address(host=url.hostname, port=port or DEFAULT_PORT)
    raise SettingsError(f"{text!r} is not a server's address; {how}")


class Settings(NamedTuple):
    """What every verb needs to begin."""

    state: str
    """Absolute path of the state directory of the embedded server."""
    server: Address
    local: bool
    """The server is the one of `state`, not one that was named: this program may start and stop it."""
    token: str = ""
    """What a server on TCP asks for: `CHRONOS_TOKEN`, else the state directory's file `token`."""


def load(state: str | None, server: str | None, environ: Mapping[str, str]) -> Settings:
    """Decide the settings from the two flags (None when absent) and the environment. Raises SettingsError.

    A state directory named nearer than the server means its own server: `--state DIR` beats `CHRONOS_SERVER`.
    """
    if not environ.get("HOME"):
        environ = {**environ, "HOME": os.path.expanduser("~")}  # noqa: PTH111 - asks the account database, as Path.home
    try:
        file = _read(Path(default_config(environ)), named="CHRONOS_CONFIG" in environ)
        levels = (
            (state, server),
            (environ.get("CHRONOS_STATE"), environ.get("CHRONOS_SERVER")),
            (file.get("state"), file.get("server")),
        )
        directory = next((level[0] for level in levels if level[0]), None) or default_state(environ)
        directory = os.path.abspath(os.path.expanduser(directory))  # noqa: PTH100, PTH111 - `..` must not follow links
        named = next((level[1] for level in levels if any(level)), None)
        address = parse_address(named) if named else Address(path=places(directory, os.getuid()).api_socket)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return Settings(directory, address, local=not named, token=_token(directory, address, environ))


def _token(directory: str, server: Address, environ: Mapping[str, str]) -> str:
    if server.path:
        return ""  # the kernel says who asks
    if named := environ.get("CHRONOS_TOKEN"):
        return named
    try:
        return Path(directory, "token").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _read(path: Path, *, named: bool) -> Mapping[str, str]:
    """Return `state` and `server` of chronos.toml; a file that nobody named may be absent."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if named:
            raise SettingsError(
                f"CHRONOS_CONFIG names {path}, which does not exist; create it or unset the variable"
            ) from None
        return {}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}; make it readable or name another by CHRONOS_CONFIG"
        ) from None
    import tomllib

    try:
        values = tomllib.loads(content.decode())
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}; correct it") from None
    for key in ("state", "server"):
        if not isinstance(values.get(key, ""), str):
            raise SettingsError(f"{path}: {key} must be a text in quotes")
    return {key: values[key] for key in ("state", "server") if key in values}
