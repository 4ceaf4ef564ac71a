"""What an architecture costs on a device: latency and memory, measured with their conditions."""

from archsearch.profiling.conditions import Conditions, conditions_of, device_name, pick_device
from archsearch.profiling.latency import Latency, measure_latency
from archsearch.profiling.profile import Profile, profile_architecture

__all__ = [
    "Conditions",
    "Latency",
    "Profile",
    "conditions_of",
    "device_name",
    "measure_latency",
    "pick_device",
    "profile_architecture",
]
