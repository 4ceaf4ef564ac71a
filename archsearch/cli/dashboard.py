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
    shown = viewer(RunFolder(folder), writable=writable)
    try:
        with bind_server(host, port) as server:
            server.set_app(Gate(shown.app(), allowed_hosts(host, server.server_port), writable))
            announce(shown, server, host, insecure=insecure)
            server.serve_forever()
    finally:
        shown.close()


def announce(shown: Viewer, server: Server, host: str, *, insecure: bool) -> None:
    """Say where it is and what a visitor may do, loudly if that is more than to look from this machine."""
    if insecure:
        sys.stderr.write(
            f"archsearch: warning: anybody who reaches {host}:{server.server_port} "
            f"{'READS, CHANGES and DELETES' if shown.writable else 'READS'} this run: there is no password\n"
        )
    how = "WRITABLE, changes go into the record" if shown.writable else "read-only"
    address = f"{url_of(server)}/dashboard/studies/{shown.study_id}"
    console().print(f"{shown.folder.path} ({how}; Ctrl-C ends it)\n{address}", markup=False, soft_wrap=True)
    sys.stdout.flush()
