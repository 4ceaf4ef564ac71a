"""Where the tests' helpers lie, and what the repository ships."""

from pathlib import Path

HELPERS = Path(__file__).parent
ROOT = HELPERS.parents[1]
SPACES = ROOT / "spaces"
REFERENCES = SPACES / "reference"
