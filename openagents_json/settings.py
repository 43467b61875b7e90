"""The settings of 0.1.4: sections of keys, from `OPENAGENTS_<SECTION>__<KEY>` variables and from code.

`engine_settings` says which of them mean something to the engine; the others are kept for the programs that read them.
`openagents_json.settings` is this module and, like it, answers to the names of the sections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from openagents_json.core.errors import NotOffered, UnknownSetting
from openagents_json.engine.errors import InvalidSetting
from openagents_json.engine.profiles.choice import environment_values

if TYPE_CHECKING:
    from openagents_json.engine.settings import Settings as EngineSettings

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class Section(BaseModel):
    """Some settings that belong together; what is set later is checked too."""

    model_config = ConfigDict(validate_assignment=True, hide_input_in_errors=True)


class AppSettings(Section):
    """The application."""

    app_name: str = "OpenAgents JSON"
    debug: bool = False
    log_level: LogLevel = "INFO"
    secret_key: SecretStr | None = None
    environment: Literal["development", "testing", "production"] = "development"
    api_prefix: str = "/api"


class RegistrySettings(Section):
    """Where components are looked for."""

    auto_discover: bool = True
    modules: list[str] = Field(default_factory=list)


class WorkflowSettings(Section):
    """How workflows are checked."""

    validation_mode: Literal["strict", "lenient", "none"] = "strict"


class AgentSettings(Section):
    """What agents use."""

    default_llm_provider: Literal["openai", "anthropic", "local"] = "openai"
    openai_api_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None
    default_model: str = "gpt-3.5-turbo"
    timeout_seconds: int = Field(default=30, ge=1, le=300)
    max_retries: int = Field(default=3, ge=0)
    retry_delay_seconds: int = Field(default=1, ge=0)


class JobSettings(Section):
    """How jobs are kept and run."""

    job_retention_days: int = Field(default=30, ge=1)
    max_concurrent_jobs: int = Field(default=100, ge=1)
    default_job_timeout_seconds: int = Field(default=3600, ge=1)
    default_max_retries: int = Field(default=3, ge=0)
    default_retry_delay_seconds: int = Field(default=30, ge=1)
    job_recovery_timeout_minutes: int = Field(default=5, ge=1, le=1440)
    store_type: Literal["memory", "file", "database"] = "memory"
    store_path: str | None = "~/.openagents/jobs"
    use_multiprocessing: bool = True


class DatabaseSettings(Section):
    """A database, for what still reads it: the engine keeps nothing in one."""

    dialect: str = "sqlite"
    path: str | None = "./openagents.db"
    host: str | None = "localhost"
    port: int | None = None
    username: str | None = None
    password: SecretStr | None = None
    name: str | None = "openagents"
    connection_string: str | None = None
    connection_pool_size: int = Field(default=5, ge=1)
    connection_max_overflow: int = Field(default=10, ge=0)
    connection_timeout: int = Field(default=30, ge=1)
    connection_recycle: int = Field(default=3600, ge=0)


class StorageSettings(Section):
    """Where runs are kept."""

    storage_type: Literal["memory", "file", "redis", "postgres", "sqlite", "mysql"] = (
        "memory"
    )
    file_storage_path: Path | None = None
    redis_url: str | None = Field(default=None, repr=False)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)


class StateSettings(Section):
    """Where the state of agents is kept."""

    manager: Literal["memory", "file", "database", "redis"] = "memory"
    file_path: str = "~/.openagents/state"
    database_url: str | None = Field(default=None, repr=False)
    redis_url: str | None = Field(default=None, repr=False)
    serializer: str = "json"
    compression: bool = False
    cache_enabled: bool = True
    transaction_mode: Literal["none", "optimistic", "pessimistic"] = "optimistic"
    encryption_key: SecretStr | None = None


OLDER_NAMES: Final[Mapping[str, str]] = {
    "APP_NAME": "app.app_name",
    "DEBUG": "app.debug",
    "LOG_LEVEL": "app.log_level",
    "SECRET_KEY": "app.secret_key",
    "ENVIRONMENT": "app.environment",
    "API_PREFIX": "app.api_prefix",
    "REGISTRY_AUTO_DISCOVER": "registry.auto_discover",
    "REGISTRY_MODULES": "registry.modules",
    "WORKFLOW_VALIDATION_MODE": "workflow.validation_mode",
    "DEFAULT_LLM_PROVIDER": "agent.default_llm_provider",
    "OPENAI_API_KEY": "agent.openai_api_key",
    "ANTHROPIC_API_KEY": "agent.anthropic_api_key",
    "DEFAULT_MODEL": "agent.default_model",
    "JOB_RETENTION_DAYS": "job.job_retention_days",
    "MAX_CONCURRENT_JOBS": "job.max_concurrent_jobs",
    "JOB_STORE_TYPE": "job.store_type",
    "JOB_STORE_FILE_DIR": "job.store_path",
    "STORAGE_TYPE": "storage.storage_type",
    "FILE_STORAGE_PATH": "storage.file_storage_path",
    "REDIS_URL": "storage.redis_url",
}
"""Names in capitals, which were the older ones already in 0.1.4."""


class Settings(Section):
    """All settings, by section; the older names in capitals can be read."""

    app: AppSettings = Field(default_factory=AppSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)
    workflow: WorkflowSettings = Field(default_factory=WorkflowSettings)
    agent: AgentSettings = Field(default_factory=AgentSettings)
    job: JobSettings = Field(default_factory=JobSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    state: StateSettings = Field(default_factory=StateSettings)
    custom_settings: dict[str, Any] = Field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        path = OLDER_NAMES.get(name)
        if path is None:
            raise AttributeError(f"there is no setting {name!r}")
        section, _, key = path.partition(".")
        return getattr(getattr(self, section), key)


SECTIONS: Final = frozenset(Settings.model_fields) - {"custom_settings"}


def read_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the variables `OPENAGENTS_<SECTION>__<KEY>`; without a mapping, those of this process.

    Raises InvalidSetting, which is a ValueError and names the first that is wrong.
    """
    values: dict[str, Any] = {}
    for name, text in environment_values(environment).items():
        section, *keys = name.split("__")
        if section in SECTIONS and keys:
            _put(values.setdefault(section, {}), keys, text)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = "__".join(str(part) for part in first["loc"])
        raise InvalidSetting(path, first["msg"]) from None


def _put(values: dict[str, Any], keys: list[str], text: str) -> None:
    """Put a text where its keys lead; a list is written with commas."""
    *outer, last = keys
    for key in outer:
        values = values.setdefault(key, {})
    values[last] = text.split(",") if last == "modules" else text


_CURRENT: Final[dict[str, Settings]] = {}
"""The settings of this program, once somebody has asked for them."""


def get_settings() -> Settings:
    """Return the settings of this program: those of its environment when they were asked for first."""
    if not _CURRENT:
        _CURRENT.setdefault("settings", read_environment())
    return _CURRENT["settings"]


def configure_from_dict(config_dict: Mapping[str, Any]) -> None:
    """Change settings: `{"section__key": value}`; a name without a section becomes one of `custom_settings`.

    Raises UnknownSetting, which is a ValueError, and InvalidSetting.
    """
    for name, value in config_dict.items():
        section, *keys = name.split("__")
        if not keys:
            get_settings().custom_settings[name] = value
            continue
        _set(get_settings(), [section, *keys], value)


def _set(settings: Settings, path: list[str], value: Any) -> None:
    *outer, last = path
    section: Any = settings
    for key in outer:
        section = getattr(section, key, None) if _has(section, key) else None
    if not _has(section, last):
        raise UnknownSetting(f"there is no setting {'__'.join(path)!r}")
    try:
        setattr(section, last, value)
    except ValidationError as error:
        raise InvalidSetting("__".join(path), error.errors()[0]["msg"]) from None


def _has(section: Any, name: str) -> bool:
    return isinstance(section, Section) and name in type(section).model_fields


def engine_settings(
    settings: Settings, environment: Mapping[str, str] | None = None
) -> EngineSettings:
    """Return what the engine is opened with: its own variables first, and where those say nothing, these settings.

    `storage.storage_type` is `redis` (at `redis_url`), `file` (in `file_storage_path`) or `memory`: a server of its
    own in a directory that nobody else uses. Raises NotOffered for a database, and InvalidSetting.
    """
    from openagents_json.engine.settings import from_environment

    own = from_environment(environment)
    variables = environment_values(environment)
    if "url" in variables or "data" in variables:
        return own
    kind = settings.storage.storage_type
    store = _STORES.get(kind)
    if store is None:
        what = f"runs are not kept in a database ({kind})"
        remedy = "set storage.storage_type to 'redis' or 'file'"
        raise NotOffered(what, remedy=remedy)
    return own.model_copy(update=store(settings.storage))


def _on_server(storage: StorageSettings) -> dict[str, str]:
    return {"url": storage.redis_url or "redis://localhost:6379/0"}


def _in_directory(storage: StorageSettings) -> dict[str, str]:
    folder = storage.file_storage_path or Path("~/.openagents/storage")
    return {"data": str(folder.expanduser())}


def _in_memory(_: StorageSettings) -> dict[str, str]:
    return {"data": _own_directory(), "durability": "memory"}


_STORES: Final[Mapping[str, Callable[[StorageSettings], dict[str, str]]]] = {
    "redis": _on_server,
    "file": _in_directory,
    "memory": _in_memory,
}


def _own_directory() -> str:
    """Return a new directory, which goes when this program ends."""
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="openagents-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def __getattr__(name: str) -> Any:
    """Answer to `settings`, and for them, as they are often imported by the name of this module."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "settings":
        return get_settings()
    return getattr(get_settings(), name)
