"""The command line: parses, calls one function of the package, prints."""

from archsearch.cli.main import main

__all__ = ["main"]
