"""Processes that share a run: locks, turns, the device, signals."""
