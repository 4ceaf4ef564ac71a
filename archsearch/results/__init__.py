"""What was found: a run folder as frames, tables and sentences; no torch, no pictures."""

from archsearch.results.compare import Comparison, compare, comparison_lines
from archsearch.results.measured_globality import measured_globality_frame, measured_globality_lines
from archsearch.results.proxies import proxy_lines, proxy_report, useful
from archsearch.results.run import Run, load_run, write_tables
from archsearch.results.swaps import swap_lines, swaps_frame

__all__ = [
    "Comparison",
    "Run",
    "compare",
    "comparison_lines",
    "load_run",
    "measured_globality_frame",
    "measured_globality_lines",
    "proxy_lines",
    "proxy_report",
    "swap_lines",
    "swaps_frame",
    "useful",
    "write_tables",
]
