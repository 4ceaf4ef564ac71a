"""A small real search, and a large made-up one around it, written by somebody who wants to break the page."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from run_fixtures import copy, run, searched  # noqa: F401

from archsearch.api import run_study
from archsearch.report.page import write_report
from archsearch.results.measured_globality import COLUMNS as MEASURED
from archsearch.results.proxies import proxy_report
from archsearch.results.swaps import COLUMNS as SWAPS
from archsearch.space import load_space
from archsearch.study.config import StudyConfig

# 2 channels x (2 kernels of one convolution + 2 numbers of heads of one attention) = 8 architectures.
SMALL = """\
name: small
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [4, 8]}, size: 2}
stages:
  - channels: 8
    depth: 1
    kind:
      conv: {kernel: {choice: [1, 3]}, expansion: 0.5}
      mhsa: {heads: {choice: [1, 2]}, expansion: 0.5, position: none}
"""
IMAGE, SCRIPT, FORMULA = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "$\\frac{$ & 'x\"",
)
FAMILIES = ["all-local", "global-from-1", "global-from-2", "mixed", "all-global"]


def table(architecture, recipe):
    """An accuracy by the id."""
    return int(architecture.id, 16) % 1000 / 1000


def search(folder, trials, **settings):
    """The run of ``trials`` candidates in ``folder/run``."""
    folder.mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(SMALL)
    study = StudyConfig(objectives=("top1", "macs"), trials=trials, latency_seconds=0.01, **settings)
    return run_study(load_space(folder / "small.yaml"), study, folder / "run", evaluate=table)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A run of six trials, which no test may change."""
    return search(tmp_path_factory.mktemp("small"), 6)


@pytest.fixture(scope="session")
def hostile(small, tmp_path_factory):
    """A thousand trials with everything a report can show, whose every free word is an attack."""
    folder = tmp_path_factory.mktemp("hostile") / "run"
    folder.mkdir()
    manifest = json.loads((small.folder / "run.json").read_text())
    manifest["identity"].update(space=IMAGE, data=SCRIPT, device=IMAGE)
    manifest["command"] = ["archsearch", IMAGE]
    (folder / "run.json").write_text(json.dumps(manifest))
    trials = thousand(small)
    made = dataclasses.replace(
        small,
        folder=folder,
        trials=trials,
        swaps=swaps(trials),
        measured_globality=measured_globality(trials),
    )
    made.__dict__["importance"] = importance()
    made.__dict__["proxies"] = proxy_report(trials.head(40))  # of a thousand, its resamples take a while
    made.__dict__["answer"] = ["The answer is " + IMAGE]
    return made


def thousand(small):
    """The small run's trials over and over, with values spread out and hostile words."""
    generator = np.random.default_rng(0)
    source = small.trials[small.trials["outcome"] == "trained"]
    trials = source.iloc[generator.integers(len(source), size=1000)].reset_index(drop=True)
    macs = np.exp(generator.uniform(10, 16, 1000))
    trials["number"] = pd.array(range(1000), dtype="Int64")
    trials["macs"] = pd.array(macs.astype(int), dtype="Int64")
    trials["latency_ms"] = pd.array(macs**0.5 / 1000 * generator.uniform(0.7, 1.4, 1000), dtype="Float64")
    trials["globality"] = pd.array(generator.uniform(0, 1, 1000), dtype="Float64")
    trials["top1"] = pd.array(
        np.clip(np.log(macs) / 20 + generator.normal(0, 0.05, 1000), 0, 1), dtype="Float64"
    )
    trials["family"] = pd.array([FAMILIES[i % 5] for i in range(1000)], dtype="string")
    trials["on_frontier"] = pd.array([False] * 1000, dtype="boolean")
    for rung, part in ((1, 0.3), (2, 0.6)):
        trials[f"rung_{rung}_samples"] = pd.array([1000.0 * part] * 1000, dtype="Float64")
        trials[f"rung_{rung}_top1"] = trials["top1"] * part
    trials["samples"] = pd.array([1000] * 1000, dtype="Int64")
    trials.loc[::7, "layout"] = IMAGE
    trials.loc[::11, "reference"] = SCRIPT
    trials.loc[1, "reference"] = FORMULA
    trials.loc[2, "reference"] = "\N{CJK UNIFIED IDEOGRAPH-5C40}"
    trials["stages.0." + IMAGE] = pd.array([SCRIPT] * 1000, dtype="string")
    trials.loc[5:9, "outcome"] = "failed"
    trials.loc[5:9, "error"] = SCRIPT
    return trials


def swaps(trials):
    """Three swaps: told apart, not told apart, and refused."""
    row = {
        "place": "stages.0",
        "kind_from": "conv",
        "kind_to": IMAGE,
        "cost_name": "macs",
        "cost_ratio": 1.01,
        "seeds": 3,
        "top1_from": 0.5,
        "note": SCRIPT,
    }
    rows = [
        {
            **row,
            "number": 3,
            "top1_to": 0.6,
            "difference": 0.1,
            "difference_low": 0.05,
            "difference_high": 0.15,
        },
        {
            **row,
            "number": 4,
            "top1_to": 0.5,
            "difference": 0.0,
            "difference_low": -0.1,
            "difference_high": 0.1,
        },
        {**row, "number": 5},
    ]
    return pd.DataFrame(rows, columns=list(SWAPS)).astype(SWAPS)


def measured_globality(trials):
    """Four winners that were measured."""
    chosen = trials.iloc[10:14][["architecture", "number", "layout", "family", "globality"]]
    frame = chosen.assign(measured_globality=0.3, measured_low=0.2, measured_high=0.4, erf_side=0.5, images=8)
    return frame.reindex(columns=list(MEASURED)).astype(MEASURED)


def importance():
    """Two choices, two objectives."""
    rows = [
        (name, objective, share, 0.3, 900, 995)
        for objective in ("top1", "macs")
        for name, share in (("stages.0.kind", 0.6), (IMAGE, 0.2))
    ]
    return pd.DataFrame(
        rows, columns=["parameter", "objective", "importance", "by_chance", "asked", "trials"]
    )


@pytest.fixture(scope="session")
def report(hostile):
    """The page of the hostile run."""
    return write_report(hostile)


@pytest.fixture(scope="session")
def page(report):
    return report.read_text(encoding="utf-8")
