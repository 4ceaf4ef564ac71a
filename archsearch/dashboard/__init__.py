"""A run in the browser: Optuna's dashboard, read-only, with our notes, drawings and pictures beside its own."""
