"""What an architecture costs on a device: latency and memory, measured with their conditions."""

from archsearch.profiling.conditions import Conditions, conditions_of, device_name, pick_device
from archsearch.profiling.fitted import keep_fitted, load_fitted, read_predictor
from archsearch.profiling.latency import Latency, measure_latency
from archsearch.profiling.predictor import Accuracy, LatencyPredictor, fit_predictor
from archsearch.profiling.profile import Profile, profile_architecture

__all__ = [
    "Accuracy",
    "Conditions",
    "Latency",
    "LatencyPredictor",
    "Profile",
    "conditions_of",
    "device_name",
    "fit_predictor",
    "keep_fitted",
    "load_fitted",
    "measure_latency",
    "pick_device",
    "profile_architecture",
    "read_predictor",
]
