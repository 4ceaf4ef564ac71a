"""``archsearch dashboard``."""

import sys
from pathlib import Path

from archsearch.cli.tables import console
from archsearch.dashboard.app import Viewer, viewer
from archsearch.dashboard.gate import Gate, allowed_hosts
from archsearch.dashboard.serve import Server, bind_server, refuse_open, url_of
from archsearch.storage.run_folder import RunFolder


def dashboard_command(folder: Path, host: str, port: int | None, *, writable: bool, insecure: bool) -> None:
    """Serve the run in ``folder`` until the process is stopped."""
    refuse_open(host, insecure=insecure)
    view = viewer(RunFolder(folder), writable=writable)
    try:
        with bind_server(host, port) as server:
            server.set_app(Gate(view.app(), allowed_hosts(host, server.server_port), writable))
            announce(view, server, host, insecure=insecure)
            server.serve_forever()
    finally:
        view.close()


def announce(view: Viewer, server: Server, host: str, *, insecure: bool) -> None:
    """Print the address and what a visitor may do; warn on stderr if anybody may connect."""
    if insecure:
        sys.stderr.write(
            f"archsearch: warning: anybody who reaches {host}:{server.server_port} "
            f"{'READS, CHANGES and DELETES' if view.writable else 'READS'} this run: there is no password\n"
        )
    how = "WRITABLE, changes go into the record" if view.writable else "read-only"
    address = f"{url_of(server)}/dashboard/studies/{view.study_id}"
    console().write_line(f"{view.folder.path} ({how}; Ctrl-C ends it)\n{address}")
    sys.stdout.flush()
