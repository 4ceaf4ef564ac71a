"""Networks to take away: a trial, a published network or an architecture file, in the formats that others read."""

from archsearch.export.export import export_architecture, export_frontier, export_published, export_trial

__all__ = ["export_architecture", "export_frontier", "export_published", "export_trial"]
