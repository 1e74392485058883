"""Every setting, one tree, each with its reason. Read once, in wiring; a part gets only its own branch."""

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from scheduler_daemon.contract.costs import Prices
from scheduler_daemon.contract.places import default_config, default_state
from scheduler_daemon.contract.policies import PolicyName
from scheduler_daemon.domain.errors import Invalid


class EngineSettings(BaseModel, frozen=True, extra="forbid"):
    """How jobs are run."""

    max_active: Annotated[int, Field(ge=1)] = 1000
    """Runs of all jobs at once; more wait as queued. A burst of 10,000 must not become 10,000 processes."""
    on_time: timedelta = timedelta(seconds=5)
    """A fire this late was merely slow; a later one was missed and the job's misfire policy decides."""
    default_policy: PolicyName = "standard"
    """Of new jobs that name none; imported crontabs are `trusted`, for they must behave as cron did."""
    events_kept: timedelta = timedelta(hours=48)
    """How long `chronos events` looks back."""


class LogSettings(BaseModel, frozen=True, extra="forbid"):
    """How long output is kept. What is beyond any of these goes, but for the last failure of each job."""

    kept_days: Annotated[float, Field(gt=0)] | None = 90
    """Who asks what happened asks within a quarter."""
    kept_runs: Annotated[int, Field(ge=1)] | None = 1000
    """Of each job. One that runs each minute must not push the others out."""
    kept_bytes: Annotated[int, Field(ge=0)] | None = 10 * 1024**3
    """Of all jobs together, as stored: the disk is not ours alone."""


class SecretSettings(BaseModel, frozen=True, extra="forbid"):
    """How the values of secrets are sealed."""

    key_file: Path
    """The master key, unless systemd gives one; beside `chronos.toml`, so that no copy of the state opens secrets."""


class RedisSettings(BaseModel, frozen=True, extra="forbid"):
    """The live picture."""

    url: str | None = None
    """One's own Redis 8 or Redis Stack; None starts the embedded one."""
    executions_kept: int = 200
    """Runs of each job in the picture; SQL keeps all."""


class ApiSettings(BaseModel, frozen=True, extra="forbid"):
    """How people and programs ask."""

    tcp: str | None = None
    """host:port to listen on besides the Unix socket; loopback only, until there are passwords to ask for."""


class Price(BaseModel, frozen=True, extra="forbid"):
    """What a model costs, in dollars per million tokens."""

    input: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    output: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ClaudeSettings(BaseModel, frozen=True, extra="forbid"):
    """Words by Claude. Without a key everything works, in our own words."""

    key_file: Path | None = None
    """Holds the key and nothing else; only its owner may read it. None looks for a systemd credential named
    `anthropic-key`. The environment is never looked at: jobs could inherit it."""
    keyring: bool = False
    """Ask the keyring of the daemon's account, by the `keyring` package, for `anthropic` of `chronos-synapse`. Off,
    for a keyring may want to be unlocked, which nobody does for a daemon."""
    model: str = "claude-sonnet-5-5"
    base_url: str = "https://api.anthropic.com"
    """Another one for a gateway of one's own."""
    timeout: timedelta = timedelta(seconds=60)
    """The local text is on the screen meanwhile; later than this nobody waits for a better one."""
    tokens_a_day: Annotated[int, Field(ge=0)] = 500_000
    """Of all users, in and out, by UTC days. A job that fails each minute must not become a bill."""
    tokens_a_day_each: Annotated[int, Field(ge=0)] = 200_000
    """Of each user."""
    dollars_a_day: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    dollars_a_day_each: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    prices: dict[str, Price] = {
        "claude-haiku": Price(input=1, output=5),
        "claude-sonnet": Price(input=3, output=15),
        "claude-opus": Price(input=5, output=25),
    }
    """By the longest beginning of the model's name. They are not part of the SDK: check them against your contract. A
    model without a price is not asked."""

    def price(self) -> Price | None:
        """The price of the model in use."""
        fitting = [name for name in self.prices if self.model.startswith(name)]
        return self.prices[max(fitting, key=len)] if fitting else None


class InsightSettings(BaseModel, frozen=True, extra="forbid"):
    """How runs are learnt from and jobs reviewed."""

    enabled: bool = True
    """False starts no process for it; what was found before stays."""
    review_every: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=24)
    """Limits, schedules and retries of all jobs are looked at so often; what ended in between changes little."""


class Settings(BaseModel, frozen=True, extra="forbid"):
    """The whole tree."""

    state: Path
    """Where everything of this daemon is kept; one daemon to a directory."""
    database: str | None = None
    """postgresql://user@host/name; None keeps SQLite in the state directory."""
    redis: RedisSettings = RedisSettings()
    api: ApiSettings = ApiSettings()
    engine: EngineSettings = EngineSettings()
    logs: LogSettings = LogSettings()
    insights: InsightSettings = InsightSettings()
    prices: Prices = Prices()
    """What is paid for what runs use; nobody but you knows."""
    claude: ClaudeSettings = ClaudeSettings()
    secrets: SecretSettings

    @property
    def database_url(self) -> str:
        """The database in use."""
        return self.database or f"sqlite:///{self.state / 'chronos.db'}"


_ENVIRONMENT = {
    "CHRONOS_DATABASE_URL": ("database",),
    "CHRONOS_REDIS_URL": ("redis", "url"),
    "CHRONOS_API_TCP": ("api", "tcp"),
    "CHRONOS_KEY_FILE": ("secrets", "key_file"),
    "CHRONOS_INSIGHTS": ("insights", "enabled"),
    "CHRONOS_REVIEW_EVERY": ("insights", "review_every"),
    "CHRONOS_DEFAULT_POLICY": ("engine", "default_policy"),
    "CHRONOS_MAX_ACTIVE": ("engine", "max_active"),
}


def load(environ: Mapping[str, str], *, state: Path | None = None, tcp: str | None = None) -> Settings:
    """Read settings: flag, else environment, else `chronos.toml`, else default. Raises Invalid, naming the setting."""
    try:
        config = Path(default_config(environ)).absolute()
        tree = _file(config)
        named = environ.get("CHRONOS_STATE") or tree.get("state") or default_state(environ)
        home = (state or Path(named)).absolute()
    except ValueError as error:
        raise Invalid(str(error)) from None
    tree["state"] = home
    tree["secrets"] = {"key_file": config.with_name("master.key")} | tree.get("secrets", {})
    tree.pop("server", None)  # for the terminal program, which reads the same file
    for name, path in _ENVIRONMENT.items():
        if environ.get(name):
            _put(tree, path, environ[name])
    if tcp:
        _put(tree, ("api", "tcp"), tcp)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise Invalid(f"setting {field}: {first['msg']}", field=field) from None


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise Invalid(f"cannot read {path}: {error}") from None


def _put(tree: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value
