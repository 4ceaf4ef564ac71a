"""Networks taken away: a trial, a published network or an architecture file, in the formats that others read."""

from archsearch.export.export import (
    Exported,
    export_architecture,
    export_frontier,
    export_published,
    export_trial,
)

__all__ = ["Exported", "export_architecture", "export_frontier", "export_published", "export_trial"]
