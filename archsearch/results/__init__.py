"""What was found: a run folder as frames, tables and sentences; no torch, no pictures."""

from archsearch.results.compare import compare
from archsearch.results.run import Run, load_run

__all__ = ["Run", "compare", "load_run"]
