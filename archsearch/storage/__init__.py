"""The record of a run: trials in an Optuna storage, the run folder, checkpoints and weights."""
