"""The telemetry of worker processes, which is named on their command line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from openagents_json.engine.errors import InvalidSetting

if TYPE_CHECKING:
    from openagents_json.engine.telemetry.port import Telemetry

log = logging.getLogger(__name__)

OPTION: Final = "--telemetry"


def telemetry_maker(path: str) -> Callable[[], Telemetry | None]:
    """Return the function that a "module:function" names, which makes the telemetry of a process; "" for none.

    Raises InvalidSetting.
    """
    if not path:
        return lambda: None
    from openagents_json.catalog.loader import resolve

    try:
        make = resolve(path)
    except (
        Exception
    ) as error:  # a program's module may raise anything when it is imported
        raise InvalidSetting(
            OPTION, f"{path!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(make):
        raise InvalidSetting(
            OPTION,
            f"{path!r} is no function; give module:function, which returns a Telemetry",
        )
    return partial(_made, path, cast("Callable[[], Telemetry]", make))


def _made(path: str, make: Callable[[], Telemetry]) -> Telemetry | None:
    try:
        return make()
    except Exception as error:  # steps are run all the same
        log.error(
            "this process is not measured, because %s raised %s: %s",
            path,
            type(error).__name__,
            error,
        )
        return None
