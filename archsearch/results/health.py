"""Health checks: what could make a run's result say less than it seems to."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from archsearch.results.frames import RunFrames
from archsearch.results.proxies import useful
from archsearch.results.trials import trained_trials
from archsearch.search.samplers import STARTUP
from archsearch.stats.hypervolume import Indicators

Status = Literal["ok", "warn", "unknown"]
COLUMNS = {"check": "string", "status": "string", "text": "string"}
# A front of fewer points hits a bound by accident.
FEWEST_AT_A_BOUND = 4
NEAR_LIMIT = 0.95
FEW = 0.1
MANY = 0.2
SURELY = 0.05
# Times the accuracy of a guess: no better than this is none.
GUESS = 1.1


@dataclass(frozen=True)
class Finding:
    """The result of a check, in a sentence with its numbers."""

    status: Status
    text: str


def health_frame(run: RunFrames) -> pd.DataFrame:
    """One row a check: ``check``, ``status`` (ok, warn, or unknown where the run has too little to tell), ``text``."""
    trained = trained_trials(run.trials)
    rows = [{"check": name, **asdict(check(run, trained))} for name, check in CHECKS.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def front_is_no_noise(run: RunFrames, _trained: pd.DataFrame) -> Finding:
    """Accuracy along the front has to differ by more than the seeds do."""
    top1 = run.frontier["top1"].to_numpy(dtype=float)
    if len(top1) < 2:
        return Finding("unknown", "the front has fewer than two points")
    rise = float(np.ptp(top1))
    if run.spread is None:
        text = f"top-1 rises by {rise:.3f} along the front; no seed was repeated, so nobody knows how much of it is chance"
        return Finding("unknown", f"{text} (finalists: 4, or archsearch swap)")
    margin = run.spread.margin_between()
    text = (
        f"top-1 rises by {rise:.3f} along the {len(top1)} points of the front; two trainings are told apart "
        f"from {margin:.3f} on"
    )
    return Finding("ok" if rise > margin else "warn", text)


def bounds_are_not_hit(run: RunFrames, trained: pd.DataFrame) -> Finding:
    """A front that always takes the largest option, or lies at a limit, says that the space ends too early."""
    front = run.frontier
    if len(front) < FEWEST_AT_A_BOUND:
        return Finding("unknown", f"the front has {len(front)} points, too few to tell")
    hit = list(options_at_an_end(front, trained)) + list(limits_reached(front))
    if hit:
        return Finding("warn", f"every point of the front has {'; '.join(hit)}: the space may end too early")
    return Finding("ok", "no option and no limit holds the whole front at its end")


def options_at_an_end(front: pd.DataFrame, trained: pd.DataFrame) -> Iterator[str]:
    """Choices of three or more numbers whose largest, or smallest, all of the front took."""
    for name in trained.columns:
        if not name.startswith(("stem", "stages.", "params.")):
            continue
        options = pd.to_numeric(trained[name], errors="coerce").dropna()
        taken = pd.to_numeric(front[name], errors="coerce").dropna()
        if options.nunique() < 3 or len(taken) < FEWEST_AT_A_BOUND or taken.min() < taken.max():
            continue
        if taken.iloc[0] in (options.min(), options.max()):
            yield f"{name} {taken.iloc[0]:g} (tried {options.min():g} to {options.max():g})"


def limits_reached(front: pd.DataFrame) -> Iterator[str]:
    """Limits of which all of the front uses 95 % or more."""
    for column in front.columns:
        cost = column.removeprefix("excess.")
        if cost == column or cost not in front.columns:
            continue
        used = front[cost] / (front[cost] - front[column])
        if used.notna().all() and (used >= NEAR_LIMIT).all():
            yield f"{cost} within 5 % of its limit"


def every_kind_had_its_chance(run: RunFrames, trained: pd.DataFrame) -> Finding:
    """A kind that was proposed at a place and never trained there cannot win there."""
    kinds = [c for c in run.trials.columns if c.endswith(".kind")]
    lost = [
        f"{kind} at {name.removesuffix('.kind')}"
        for name in kinds
        for kind in sorted(set(run.trials[name].dropna()) - set(trained[name].dropna()))
    ]
    families = sorted(set(run.trials["family"].dropna()) - set(trained["family"].dropna()))
    if lost or families:
        return Finding("warn", f"proposed and never trained: {', '.join([*families, *lost])}")
    return Finding("ok", "every family and every kind that was proposed was trained")


def proxies_rank(run: RunFrames, _trained: pd.DataFrame) -> Finding:
    """Rungs that stop candidates have to rank them as the end does."""
    if not set(run.proxies["status"].dropna()) & {"on", "off"}:
        return Finding("unknown", "too few trainings to tell how well rungs and scores rank them")
    good = sorted(useful(run.proxies))
    stops = run.trials["outcome"].eq("stopped").any()
    rungs = sorted({name for name in run.proxies["proxy"] if str(name).startswith("rung_")})
    on = [name for name in good if name.startswith("rung_")]
    said = f"say more than size does: {', '.join(sorted(good)) or 'none'}"
    if stops and rungs and not on:
        return Finding("warn", f"candidates are stopped at rungs that do not rank them; {said}")
    return Finding("ok" if good else "warn", said)


def search_beats_chance(run: RunFrames, trained: pd.DataFrame) -> Finding:
    """What the sampler proposed has to lie nearer to the final front than the first candidates, which chance drew."""
    sampler = run.manifest["identity"].get("sampler", "auto")
    slots = trained["slot"]
    drawn, proposed = trained[slots < STARTUP], trained[slots >= STARTUP]
    if sampler == "random":
        return Finding("unknown", "the sampler is chance itself")
    if len(drawn) < STARTUP // 2 or len(proposed) < STARTUP:
        return Finding("unknown", f"{len(proposed)} candidates behind the first ten are too few to tell")
    indicators = Indicators.of(trained, run.objectives)
    far, near = indicators.lags(drawn), indicators.lags(proposed)
    p = float(mannwhitneyu(near, far, alternative="less").pvalue)
    text = (
        f"candidates of {sampler} lie {np.median(near):.3f} behind the final front at the median, those drawn by chance "
        f"{np.median(far):.3f} (p = {p:.2g}, one-sided rank test)"
    )
    return Finding("ok" if p < SURELY else "warn", text)


def latencies_are_clean(_run: RunFrames, trained: pd.DataFrame) -> Finding:
    """Measurements that were disturbed say so themselves."""
    measured = trained[trained["latency_ms"].notna()]
    if measured.empty:
        return Finding("unknown", "no latency was measured")
    flagged = measured["latency_flags"].notna()
    share = float(flagged.mean())
    text = f"{int(flagged.sum())} of {len(measured)} latencies were measured while the machine was disturbed"
    return Finding("warn" if share > MANY else "ok", text)


def candidates_came_through(run: RunFrames, trained: pd.DataFrame) -> Finding:
    """Candidates that broke leave holes in the map."""
    failed = run.trials[run.trials["outcome"] == "failed"]
    share = len(failed) / max(1, len(failed) + len(trained))
    reasons = failed["error"].value_counts()
    most = f"; most often: {reasons.index[0]}" if len(reasons) else ""
    text = f"{len(failed)} of {len(failed) + len(trained)} candidates failed{most}"
    return Finding("warn" if share > FEW else "ok", text)


def networks_learned(run: RunFrames, trained: pd.DataFrame) -> Finding:
    """Networks that are no better than a guess say nothing of their structure."""
    if trained.empty:
        return Finding("unknown", "nothing was trained")
    asleep = int((trained["top1"] <= GUESS / classes_of(run)).sum())
    text = f"{asleep} of {len(trained)} trained networks are no better than a guess"
    return Finding("warn" if asleep > MANY * len(trained) else "ok", text)


def classes_of(run: RunFrames) -> int:
    """The number of classes, as any of its architectures has it."""
    return int(json.loads(next(iter(run.descriptions.values())))["classes"])


Check = Callable[[RunFrames, pd.DataFrame], Finding]
CHECKS: dict[str, Check] = {
    "the front is more than noise": front_is_no_noise,
    "no bound is always hit": bounds_are_not_hit,
    "every family had its chance": every_kind_had_its_chance,
    "rungs and scores rank candidates": proxies_rank,
    "the search beats chance": search_beats_chance,
    "latencies are undisturbed": latencies_are_clean,
    "candidates came through": candidates_came_through,
    "networks learned something": networks_learned,
}


def health_lines(frame: pd.DataFrame) -> Sequence[str]:
    """The checks that warn, in words."""
    warned = frame[frame["status"] == "warn"]
    return [f"check: {row['check']}? {row['text']}" for _, row in warned.iterrows()]
