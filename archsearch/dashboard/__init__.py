"""A run in the browser: Optuna's dashboard, read-only, with our notes, drawings and pictures beside its own."""

from archsearch.dashboard.app import Viewer, viewer
from archsearch.dashboard.gate import Gate, allowed_hosts
from archsearch.dashboard.serve import Server, bind_server, refuse_open, url_of

__all__ = ["Gate", "Server", "Viewer", "allowed_hosts", "bind_server", "refuse_open", "url_of", "viewer"]
