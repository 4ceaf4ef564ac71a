"""A process that holds a run folder until its standard input ends: ``python holding.py FOLDER``."""

import sys
from pathlib import Path

from archsearch.study.folder import RunFolder

with RunFolder(Path(sys.argv[1])).owned():
    print("held", flush=True)
    sys.stdin.read()
