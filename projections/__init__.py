"""Read models: folds of the log into views, with checkpoints. `projection` makes one of a function."""

from projections.errors import (
    InvalidProjection,
    InvalidQuery,
    ProjectionError,
    ProjectionFailed,
    UnknownProjection,
)
from projections.projection import Counted, Index, Projection, projection
from projections.search import Found, Page, Query

__all__ = [
    "Counted",
    "Found",
    "Index",
    "InvalidProjection",
    "InvalidQuery",
    "Page",
    "Projection",
    "ProjectionError",
    "ProjectionFailed",
    "Query",
    "UnknownProjection",
    "projection",
]
