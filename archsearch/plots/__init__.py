"""Every picture of a run; one table of how a family looks."""
