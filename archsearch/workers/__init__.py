"""Processes that share a run: the lock on the record, who is alive, the device, signals."""
