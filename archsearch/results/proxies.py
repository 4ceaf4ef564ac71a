"""The proxy report: how well each proxy ranks candidates as the final training does, and which may be acted on.

A proxy is judged by tau-b with the final accuracy, in each family and at each globality, since no proxy is
known to hold across families; and at fixed MACs, since most are counts of size in disguise. One that at fixed MACs
does not surely rank in its own direction is switched off. Below 30 final trainings nothing is said.

At fixed MACs both tau and rho have to be above 0. A noisy copy of MACs, which adds nothing to them, has a partial tau above
0 all the same (Korn 1984, The American Statistician 38, 61), and a partial rho near 0. Simulated on normal
columns, its tau was 0.1 to 0.2: tau alone let 7 to 38 % of such copies pass at 30 candidates and all of them at 500,
both together 2 to 6 %.

Candidates that were promoted to the final training by a proxy are alike in it, which lowers its tau: where
rungs chose, the figures are those of the survivors.

Source: Krishnakumar et al. 2022 (NAS-Bench-Suite-Zero), https://arxiv.org/abs/2210.03230, for size as the
confounder.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pandas as pd

from archsearch.results.families import by_family
from archsearch.results.trials import trained_trials
from archsearch.stats.rank_correlation import Floats, Method, correlations, estimate, partial, resamples

BASELINE = "macs"
COSTS = (BASELINE, "params", "activations", "latency_ms")
ZERO_COST = ("nwot", "nwot_per_image", "synflow", "trainability")
RUNG = re.compile(r"rung_(\d+)_(top1|train_loss)")
THIRDS = ("low", "middle", "high")
METHODS: tuple[Method, ...] = ("kendall", "spearman")
FAMILY = "family "
ALL, GIVEN, MINUS = "all", f"given {BASELINE}", f"minus {BASELINE}"
FEWEST_TRAININGS = 30


@dataclass(frozen=True)
class ProxyRow:
    """How one proxy ranks one group of candidates, with 95 % bootstrap intervals. NaN (in a frame NA) is undefined.

    Attributes:
        proxy: its column among the trials. More is better, except of a ``train_loss``, whose sign is turned: a
            positive tau always says that the proxy ranks as it is meant to.
        within: ``all`` candidates; a ``family NAME``; a third of them by ``globality`` (low, middle, high);
            ``given macs``: all, as the partial correlation at fixed MACs; ``minus macs``: all, as the difference
            of the proxy's correlation and that of MACs, on the same resamples.
        candidates: how many were trained to the end and have this proxy.
        kendall, spearman: tau-b and rho with the final accuracy.
        globality_from, globality_to: the least and largest globality of these candidates.
        status: of the proxy, in its row of ``all``; in the others None. ``too few`` final trainings (below 30);
            ``on``: the intervals of tau and rho given MACs lie above 0 (for MACs: that of tau itself); else
            ``off``, so also what ranks backwards, and what has no such intervals.
    """

    proxy: str
    within: str
    candidates: int
    kendall: float
    kendall_low: float
    kendall_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    globality_from: float
    globality_to: float
    status: str | None = None

    @property
    def defined(self) -> bool:
        """Whether there is a tau with its interval."""
        return not math.isnan(self.kendall_low)


WORDS = ("proxy", "within", "status")
COLUMNS = tuple(field.name for field in fields(ProxyRow))
NUMBERS = tuple(name for name in COLUMNS if name not in {*WORDS, "candidates"})
DTYPES = {**dict.fromkeys(WORDS, "string"), **dict.fromkeys(NUMBERS, "Float64"), "candidates": "Int64"}


def proxy_report(trials: pd.DataFrame, final: str = "top1") -> pd.DataFrame:
    """The rows of ``ProxyRow`` for every proxy that ``trials`` has finite values of, with a finite ``final``.

    Args:
        trials: one row a trial, as ``results.trials.trials_frame`` gives it; only trained ones count. Proxies are
            counts, latency, zero-cost scores, and ``rung_K_top1`` and ``rung_K_train_loss``, K from 1. What equals
            ``final`` throughout is the final training itself (a last rung), and none.
        final: the column that they are compared with; more is better.

    Raises:
        KeyError: ``trials`` has no column of this name, or no ``outcome``.
    """
    table = finals(trials, final)
    rows = [row for proxy in proxies(table) for row in proxy_rows(table, proxy)]
    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS)).astype(DTYPES)


def finals(trials: pd.DataFrame, final: str) -> pd.DataFrame:
    """The candidates with a final training: ``final``, family, globality and proxies, better upwards.

    NaN is what a candidate lacks; what all lack is no column.
    """
    trained = trained_trials(trials)
    rungs = sorted((int(m[1]), m[2], m[0]) for m in map(RUNG.fullmatch, trials.columns) if m)
    names = [*COSTS, *ZERO_COST, *(name for *_, name in rungs)]
    table = pd.DataFrame({"final": finite(trained[final])})
    for name in ("globality", *(name for name in names if name != final)):
        if name in trained:
            table[name] = finite(trained[name]) * (-1 if name.endswith("train_loss") else 1)
    if "family" in trained:
        table["family"] = trained["family"]
    return table.dropna(subset="final").dropna(axis="columns", how="all").reset_index(drop=True)


def finite(column: "pd.Series[float]") -> "pd.Series[float]":
    """As floats, NaN where there is no finite value."""
    values = column.astype("Float64").to_numpy(dtype=np.float64, na_value=math.nan)
    return pd.Series(np.where(np.isfinite(values), values, math.nan), index=column.index)


def proxies(table: pd.DataFrame) -> list[str]:
    """The columns that are proxies."""
    names = [name for name in table.columns if name not in {"final", "family", "globality"}]
    return [name for name in names if not table[name].equals(table["final"])]


def proxy_rows(table: pd.DataFrame, proxy: str) -> Iterator[ProxyRow]:
    """All rows of one proxy, that of all candidates with its status first."""
    known = table[table[proxy].notna()]
    everyone, beside = plain_row(proxy, ALL, known), baseline_rows(proxy, known)
    yield replace(everyone, status=status(everyone, beside))
    yield from beside
    for group, inside in groups(table):
        members = known[known.index.isin(inside)]
        if len(members):
            yield plain_row(proxy, group, members)


def status(everyone: ProxyRow, beside: Sequence[ProxyRow]) -> str:
    """Whether a proxy may be acted on: by its row at fixed MACs, which is the first beside; for MACs by their own."""
    deciding = beside[0] if beside else everyone
    if deciding.candidates < FEWEST_TRAININGS:
        return "too few"
    if everyone.proxy == BASELINE:
        return "on" if everyone.kendall_low > 0 else "off"
    # Without MACs nothing tells a proxy from size.
    return "on" if beside and deciding.kendall_low > 0 and deciding.spearman_low > 0 else "off"


def groups(table: pd.DataFrame) -> Iterator[tuple[str, "pd.Index[int]"]]:
    """The candidates of the families, from local to global, then of the thirds by globality."""
    if "family" in table:
        yield from (
            (f"{FAMILY}{name}", rows.index) for name, rows in by_family(table.dropna(subset="family"))
        )
    if "globality" in table:
        spread = table["globality"].dropna()
        third = np.searchsorted(spread.quantile([1 / 3, 2 / 3]), spread)
        yield from ((f"globality {name}", spread.index[third == i]) for i, name in enumerate(THIRDS))


def plain_row(proxy: str, within: str, members: pd.DataFrame) -> ProxyRow:
    """Tau and rho of the proxy and the final accuracy."""
    weights = resamples(len(members))
    columns = members[proxy], members["final"]
    return row(proxy, within, members, [correlations(*columns, weights, method=method) for method in METHODS])


def baseline_rows(proxy: str, known: pd.DataFrame) -> list[ProxyRow]:
    """The proxy at fixed MACs, and less MACs; no rows for MACs themselves, or if they are unknown."""
    if proxy == BASELINE or BASELINE not in known:
        return []
    members = known[known[BASELINE].notna()]
    weights, given, minus = resamples(len(members)), [], []
    for method in METHODS:
        x, y, z = members[proxy], members["final"], members[BASELINE]
        xy, xz, yz = (correlations(a, b, weights, method=method) for a, b in ((x, y), (x, z), (y, z)))
        given.append(partial(xy, xz, yz))
        minus.append(xy - yz)
    return [row(proxy, GIVEN, members, given), row(proxy, MINUS, members, minus)]


def row(proxy: str, within: str, members: pd.DataFrame, draws: Sequence[Floats]) -> ProxyRow:
    """One row, from what each of METHODS found in every resample."""
    tau, rho = (estimate(values) for values in draws)
    reach = members["globality"] if "globality" in members else pd.Series([math.nan])
    return ProxyRow(
        proxy=proxy,
        within=within,
        candidates=len(members),
        kendall=tau.value,
        kendall_low=tau.low,
        kendall_high=tau.high,
        spearman=rho.value,
        spearman_low=rho.low,
        spearman_high=rho.high,
        globality_from=float(reach.min()),
        globality_to=float(reach.max()),
    )


def useful(report: pd.DataFrame) -> frozenset[str]:
    """The proxies that are on: a candidate may be rejected by these alone."""
    return frozenset(map(str, report.loc[report["status"].fillna("") == "on", "proxy"]))


def proxy_lines(report: pd.DataFrame) -> list[str]:
    """The report in two to six sentences, every figure with its 95 % interval; below 30 trainings only that."""
    rows = {(row.proxy, row.within): row for row in read_rows(report)}
    overall = [row for row in rows.values() if row.within == ALL]
    judged = [row for row in overall if row.status != "too few" and row.defined]
    if not judged:
        return nothing_to_say(overall)
    best = max(judged, key=tau)
    return [
        best_line(best, len(judged)),
        *against_baseline(best, judged, rows),
        *worst_family(best, rows),
        off_line(overall, rows),
        *too_few(overall),
    ]


def read_rows(report: pd.DataFrame) -> list[ProxyRow]:
    """The rows that a report was made of; undefined numbers are NaN, a missing status is empty."""
    frame = report[list(COLUMNS)].astype(dict.fromkeys(NUMBERS, float)).fillna({"status": ""})
    return [ProxyRow(**{str(k): v for k, v in record.items()}) for record in frame.to_dict("records")]


def tau(row: ProxyRow) -> float:
    """By what rows are compared."""
    return row.kendall


def nothing_to_say(overall: Sequence[ProxyRow]) -> list[str]:
    """Why no proxy is judged."""
    count = max((row.candidates for row in overall), default=0)
    if count < FEWEST_TRAININGS:
        why = f"{count} final trainings are too few to judge a proxy by: {FEWEST_TRAININGS} are needed."
    else:
        why = f"No proxy can be judged by {count} final trainings: they, or the proxies, are all alike."
    return [why, "So no candidate may be rejected by a proxy."]


def best_line(best: ProxyRow, judged: int) -> str:
    """Which proxy ranks best, or that none surely ranks at all."""
    if best.kendall_low > 0:
        claim = f"Best of {judged}: {best.proxy} ranks as the final training does"
    else:
        claim = f"None of {judged} surely ranks as the final training does; {best.proxy} comes nearest"
    return f"{claim}, with tau {with_interval(best)}, 95 % interval, {best.candidates} candidates."


def against_baseline(
    best: ProxyRow, judged: Sequence[ProxyRow], rows: Mapping[tuple[str, str], ProxyRow]
) -> list[str]:
    """Whether the best proxy, or the next best where MACs are that, is more than MACs."""
    names = [row.proxy for row in judged] if best.proxy == BASELINE else [best.proxy]
    minus = [rows[name, MINUS] for name in names if (name, MINUS) in rows and rows[name, MINUS].defined]
    if not minus:
        return []
    other = max(minus, key=tau)
    claim = f"Whether {other.proxy} ranks better than MACs is open"
    if other.kendall_low > 0:
        claim = f"{other.proxy} ranks better than MACs"
    elif other.kendall_high < 0:
        claim = f"MACs rank better than {other.proxy}, the next"
    given = with_interval(rows[other.proxy, GIVEN], "spearman")
    return [f"{claim}: tau differs by {with_interval(other)}, and at fixed MACs rho is {given}."]


def worst_family(best: ProxyRow, rows: Mapping[tuple[str, str], ProxyRow]) -> list[str]:
    """In which of several families the best proxy ranks worst, and whether that is sure."""
    found = [r for r in rows.values() if r.proxy == best.proxy and r.within.startswith(FAMILY) and r.defined]
    if len(found) < 2:
        return []
    low, high = min(found, key=tau), max(found, key=tau)
    sure = "" if low.kendall_high < high.kendall_low else "; the intervals do not separate the two"
    one, other = (f"{r.within}, {with_interval(r)} of {r.candidates} candidates" for r in (low, high))
    return [f"{best.proxy} ranks worst in {one}, and best in {other}{sure}."]


def off_line(overall: Sequence[ProxyRow], rows: Mapping[tuple[str, str], ProxyRow]) -> str:
    """What was switched off, by which figure."""
    off = [row.proxy for row in overall if row.status == "off"]
    if not off:
        return "No proxy is switched off."
    deciding = [rows.get((name, ALL if name == BASELINE else GIVEN)) for name in off]
    figures = [f"{name} {reason(row)}" for name, row in zip(off, deciding, strict=True)]
    return f"Switched off, as tau and rho at fixed MACs are not both surely above 0: {', '.join(figures)}."


def reason(row: ProxyRow | None) -> str:
    """The figure that is not surely above 0 in the row that decides."""
    if row is None:
        return "not asked, without MACs"
    return f"rho {with_interval(row, 'spearman')}" if row.kendall_low > 0 else f"tau {with_interval(row)}"


def too_few(overall: Sequence[ProxyRow]) -> list[str]:
    """Which proxies too few candidates have."""
    names = [f"{row.proxy} ({row.candidates})" for row in overall if row.status == "too few"]
    if not names:
        return []
    return [f"Not judged, for fewer than {FEWEST_TRAININGS} final trainings: {', '.join(names)}."]


def with_interval(row: ProxyRow, method: Method = "kendall") -> str:
    """Tau or rho and its interval, to be read."""
    if not row.defined:
        return "undefined"
    if method == "kendall":
        return f"{row.kendall:.2f} ({row.kendall_low:.2f} to {row.kendall_high:.2f})"
    return f"{row.spearman:.2f} ({row.spearman_low:.2f} to {row.spearman_high:.2f})"
