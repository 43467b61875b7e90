"""Settings by section and key: from the environment, from code, and what the engine makes of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import openagents_json
from openagents_json.core.errors import NotOffered, UnknownSetting
from openagents_json.engine.errors import InvalidSetting
from openagents_json.settings import (
    Settings,
    configure_from_dict,
    engine_settings,
    get_settings,
    read_environment,
)


@pytest.fixture(autouse=True)
def settings_as_before() -> Iterator[None]:
    settings = get_settings()
    before = settings.model_copy(deep=True)
    yield
    for section, values in before:
        setattr(settings, section, values)


def test_variables_name_section_and_key() -> None:
    settings = read_environment(
        {
            "OPENAGENTS_APP__DEBUG": "true",
            "OPENAGENTS_APP__LOG_LEVEL": "DEBUG",
            "OPENAGENTS_AGENT__OPENAI_API_KEY": "sk-1",
            "OPENAGENTS_STORAGE__DATABASE__PORT": "5432",
            "OPENAGENTS_REGISTRY__MODULES": "a,b",
            "OPENAGENTS_URL": "redis://elsewhere",
            "OPENAGENTS_NOBODY__KNOWS": "1",
            "APP__DEBUG": "false",
        }
    )
    assert (settings.app.debug, settings.app.log_level) == (True, "DEBUG")
    assert settings.storage.database.port == 5432
    assert settings.registry.modules == ["a", "b"]
    assert (settings.DEBUG, settings.API_PREFIX) == (True, "/api")
    key = settings.agent.openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-1"
    assert "sk-1" not in repr(settings)


def test_a_value_that_cannot_be_is_named_without_showing_it() -> None:
    with pytest.raises(InvalidSetting, match="agent__timeout_seconds") as caught:
        read_environment({"OPENAGENTS_AGENT__TIMEOUT_SECONDS": "sk-secret"})
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(ValueError, match="job__store_type"):
        configure_from_dict({"job__store_type": "stone"})


def test_code_changes_the_settings_of_the_program() -> None:
    configure_from_dict({"app__debug": True, "storage__database__name": "x", "own": 1})
    settings = get_settings()
    assert (settings.app.debug, settings.storage.database.name) == (True, "x")
    assert settings.custom_settings == {"own": 1}
    for unknown in ("app__bug", "apple__debug", "app__debug__more"):
        with pytest.raises(UnknownSetting, match=unknown):
            configure_from_dict({unknown: 1})
    assert not hasattr(settings, "NOBODY_KNOWS")


def test_the_engine_opens_what_the_settings_name(tmp_path: Path) -> None:
    def of(environment: dict[str, str] | None = None, **storage: object) -> Any:
        settings = Settings.model_validate({"storage": storage})
        return engine_settings(settings, environment or {})

    redis = of(storage_type="redis", redis_url="redis://there/1")
    assert redis.url == "redis://there/1"
    file = of(storage_type="file", file_storage_path=tmp_path)
    assert file.data == str(tmp_path)
    memory, other = of(), of()
    assert memory.durability == "memory"
    assert memory.data != other.data
    own = of({"OPENAGENTS_URL": "redis://own"}, storage_type="sqlite")
    assert own.url == "redis://own"
    for database in ("postgres", "sqlite", "mysql"):
        with pytest.raises(NotOffered, match=f"database \\({database}\\)"):
            of(storage_type=database)


NAMES = """
import sys
import openagents_json
heavy = {"redis", "celery", "click", "rich", "pydantic", "jinja2", "fastapi", "tenacity"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
from openagents_json import settings, get_settings, configure_from_dict
assert settings is get_settings() and settings.app.app_name == "App"
import openagents_json.settings as again
from openagents_json import settings as module_or_settings
assert module_or_settings.app.app_name == settings.APP_NAME == "App"
import openagents_json.core
import openagents_json.core.registry, openagents_json.core.decorators
assert not {"celery", "click", "rich", "fastapi"} & sys.modules.keys()
from openagents_json.core import Settings, component_registry
from openagents_json import OpenAgentsApp
from openagents_json.core.state import get_state_manager
get_state_manager().set_state("a", "n", 1)
assert not {"redis", "celery", "click", "rich", "fastapi"} & sys.modules.keys()
"""


def test_the_names_cost_nobody_who_does_not_use_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NAMES],
        env={"OPENAGENTS_APP__APP_NAME": "App"},
        capture_output=True,
        text=True,
        cwd=Path(openagents_json.__file__).parents[1],
    )
    assert (done.returncode, done.stderr) == (0, "")
