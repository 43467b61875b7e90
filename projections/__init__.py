"""Read models: folds of the log into views, with checkpoints. `projection` makes one of a function."""

from projections.errors import (
    InvalidProjection,
    InvalidQuery,
    ProjectionError,
    ProjectionFailed,
    UnknownProjection,
)
from projections.projection import Index, Projection, Tally, projection
from projections.search import Found, Page, Query

__all__ = [
    "Found",
    "Index",
    "InvalidProjection",
    "InvalidQuery",
    "Page",
    "Projection",
    "ProjectionError",
    "ProjectionFailed",
    "Query",
    "Tally",
    "UnknownProjection",
    "projection",
]
