"""How each number of a report was got, and where the numbers lie.

Numbers and names in these sentences are the constants of the code that they describe; what a sentence claims beside
them is tested against that code (``tests/report/test_methods.py``).
"""

from collections.abc import Iterator

from archsearch.families import ALL_GLOBAL, ALL_LOCAL, GLOBAL_FROM, MIXED, describe_family
from archsearch.report.blocks import INTERVAL, Content, Facts
from archsearch.results.families import FEWEST, STEPS, SUBSETS
from archsearch.results.importance import CHANCE, QUANTILE, SHUFFLES
from archsearch.results.measured_globality import NOMINAL_BELOW
from archsearch.results.proxies import FEWEST_TRAININGS
from archsearch.results.run import Run
from archsearch.space.swap import TOLERANCE
from archsearch.stats.cells import COST_CELLS, GLOBALITY_CELLS
from archsearch.stats.hypervolume import STRETCH

FAMILIES = "; ".join(
    f"{name}: {describe_family(name)}" for name in (ALL_LOCAL, f"{GLOBAL_FROM}K", ALL_GLOBAL, MIXED)
)
METHODS = {
    "Globality": "Mean over the spatial mixers of how far each one reaches, as a share of the reach of uniform "
    "attention on its grid; attention is taken as uniform, soft splits count, 1x1 convolutions and channel MLPs do "
    "not. It needs no weights. 0 is local, 1 is global.",
    "Families": f"{FAMILIES}. Stages count from 0; the stem decides no family.",
    "Accuracy": "Top-1 on validation images after the short training that all candidates share; test images are "
    "read for the Pareto front and for finalists alone and decide nothing.",
    "Intervals over seeds": f"{INTERVAL}, by Student's t, from the standard deviation over seeds, pooled over the "
    "architectures that were trained from several.",
    "Latency": "Median of repeated forward passes on the device above; quartiles and what was wrong with the machine "
    "meanwhile are in the trials' table.",
    "MACs": "Multiply-adds of one image, counted operator by operator, attention products and norms included; a "
    "paper that counts a multiply and an add apart has twice as many.",
    "Pareto front": "The trained trials within all limits that no other one dominates: none is at least as good in "
    "every objective and better in one.",
    "Map": f"{GLOBALITY_CELLS} equal steps of globality by {COST_CELLS} equal steps of the logarithm of the cost; each "
    "cell has the best validation accuracy found in it. Its interval is over seeds: around the mean of that "
    "candidate's own seeds where it was trained from several, around its single training otherwise; none where the "
    "run repeated no seed.",
    "Hypervolume": "Share of the normalised objective space (error linear, costs in log10, from the best to "
    f"{STRETCH - 1:.0%} of the range beyond the worst trained candidate) that a set dominates; of families at equal "
    f"numbers of trainings, those of the smallest family of {FEWEST} or more, over {SUBSETS} random subsets. "
    "Zitzler and Thiele 1998.",
    "Gain at equal cost": f"Mean height of a family's front over that of {ALL_LOCAL}, at {STEPS} costs in equal steps of "
    "the logarithm, where both have a network of that cost or less.",
    "Matched swaps": "One stage of a trained network changes kind, its width is scaled to equal cost within a "
    f"tolerance ({TOLERANCE:.0%} unless another one was asked for), both are trained with the same recipe and seeds, "
    "and the differences are paired by seed.",
    "Measured globality": "The same reach, computed from the influence that trained residual branches really have, by "
    "vector-Jacobian products on validation images; each mixer counts by its branch's share of the sum that it is a "
    f"part of. Where its rank correlation (Spearman's rho) with globality is below {NOMINAL_BELOW}, globality is one "
    "in name only.",
    "Importance": f"Conditional PED-ANOVA (Watanabe et al. 2023; its conditional form of 2026) as Optuna has it, of "
    f"the best {QUANTILE:.0%}; the dashed line is the {100 * CHANCE:.0f}th percentile of the strongest choice when the "
    f"results are shuffled among the trials, {SHUFFLES} times.",
    "Proxies": f"Kendall's tau-b and Spearman's rho with the final accuracy, with bootstrap intervals over "
    f"candidates, from {FEWEST_TRAININGS} final trainings on; at equal MACs as partial correlations.",
}
FILES = {
    "trials.parquet, trials.csv": "one row a trial, units in the names",
    "stages.parquet": "one row for each part of each trial",
    "frontier.csv, frontier.png, frontier/": "the Pareto front as a table and a picture, and its networks as "
    "architecture files with their weights",
    "map.csv, families.csv": "the cells of the map, and the families, with their intervals",
    "finalists.csv, swaps.csv, swaps.png": "what was retrained from several seeds, where anything was",
    "measured_globality.csv": "how far trained winners mix, where it was measured",
    "proxies.csv": "every rank correlation with its interval",
    "figures/": "every figure of this page as PNG and SVG",
    "study.db": "the record itself, an Optuna study, from which all of this is derived",
}


def describe_methods(_run: Run) -> Iterator[Content]:
    """How each number was got."""
    yield Facts(METHODS)


def describe_files(_run: Run) -> Iterator[Content]:
    """Where the numbers lie."""
    yield Facts(FILES)
