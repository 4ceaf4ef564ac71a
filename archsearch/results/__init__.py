"""What was found: a run folder as frames, files and pictures, and winners to take away."""

from archsearch.results.compare import Comparison, compare, comparison_lines, save_comparison_plot
from archsearch.results.measured_globality import measured_globality_frame, measured_globality_lines
from archsearch.results.proxies import proxy_lines, proxy_report, useful
from archsearch.results.run import Run, load_run, write_results
from archsearch.results.swaps import save_swaps_plot, swap_lines, swaps_frame

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
    "save_comparison_plot",
    "save_swaps_plot",
    "swap_lines",
    "swaps_frame",
    "useful",
    "write_results",
]
