"""Architecture search for vision backbones: where to mix locally, and where globally."""
