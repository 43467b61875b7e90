"""A store of views that tells how far they are behind the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from openagents_json.engine.telemetry.meter import Meter
from openagents_json.engine.telemetry.port import Instrument, Telemetry

if TYPE_CHECKING:
    from eventstore.views import ViewStore

PROJECTION_LAG: Final = Instrument(
    "openagents.projection.lag",
    "{event}",
    "Events of a partition that a view is behind the log, by projection",
)


def measured_views(
    store: ViewStore, telemetry: Telemetry, steady_ms: Callable[[], float]
) -> ViewStore:
    """Return a store of views in front of another one, with the same answers and the same round trips."""
    return cast("ViewStore", _MeasuredViewStore(store, Meter(telemetry, steady_ms)))


class _MeasuredViewStore:
    def __init__(self, store: ViewStore, meter: Meter) -> None:
        self._store = store
        self._meter = meter

    def checkpoints(
        self, views: Sequence[str], partitions: Sequence[int]
    ) -> list[tuple[int, list[int]]]:
        """Read heads and checkpoints, and note how far apart they are."""
        positions = self._store.checkpoints(views, partitions)
        for head, checkpoints in positions:
            for view, checkpoint in zip(views, checkpoints, strict=True):
                projection = view.split(".", 1)[
                    0
                ]  # without version and generation, which only grow
                self._meter.record(
                    PROJECTION_LAG, max(0, head - checkpoint), projection=projection
                )
        return positions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
