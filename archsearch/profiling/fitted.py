"""Where fitted predictors are kept: one file for each space and conditions, in the cache's folder."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from archsearch.counting.cache import cache_folder, fingerprint
from archsearch.files import write_atomically
from archsearch.profiling.conditions import Conditions
from archsearch.profiling.predictor import LatencyPredictor


def predictor_file(space_fingerprint: str, conditions: Conditions) -> Path | None:
    """Where the predictor of a space under ``conditions`` lies, or would; None if there is no cache.

    Other code has other calls: its predictors lie elsewhere.
    """
    folder = cache_folder()
    if folder is None:
        return None
    text = json.dumps([space_fingerprint, fingerprint(), asdict(conditions)], sort_keys=True)
    return folder / f"latency-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def load_fitted(space_fingerprint: str, conditions: Conditions) -> LatencyPredictor | None:
    """The predictor that was fitted for this space, device and versions; None if there is none."""
    return read_predictor(predictor_file(space_fingerprint, conditions))


def read_predictor(file: Path | None) -> LatencyPredictor | None:
    """The predictor in a file; None if there is no file, or none that can be used."""
    try:
        return None if file is None else LatencyPredictor.from_json(file.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_fitted(predictor: LatencyPredictor, space_fingerprint: str) -> Path | None:
    """Write it where ``load_fitted`` looks; None if there is no cache.

    Raises:
        OSError: the disk does not take it.
    """
    file = predictor_file(space_fingerprint, predictor.conditions)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, predictor.to_json())
    return file
