"""The HTTP server: the standard library's, one thread per request, for this machine alone unless the user allows more."""

import errno
import socket
import sys
from ipaddress import ip_address
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from archsearch.errors import EnvironmentFaultError, InputError, Problem, shown

PORT = 8080
IDLE_S = 30


class Handler(WSGIRequestHandler):
    """Writes no line per request, and drops a connection that is idle for ``IDLE_S`` seconds."""

    timeout = IDLE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """A page asks every few seconds: nobody wants to read that."""


class Server(ThreadingMixIn, WSGIServer):
    """One thread per request: a page asks for many files at once, and none waits for a figure that is being drawn."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called: seconds, where none answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that closes the connection in the middle of an answer."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Server6(Server):
    """The same for an IPv6 address."""

    address_family = socket.AF_INET6


def bind_server(host: str, port: int | None) -> Server:
    """A server without an application on ``port``; without one on 8080, or on any free port if that is taken.

    Raises:
        EnvironmentFaultError: the port is taken or not permitted, or this machine has no such address.
    """
    ports = (port,) if port is not None else (PORT, 0)
    for attempt in ports:
        try:
            return (Server6 if ":" in host else Server)((host, attempt), Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or attempt == ports[-1]:
                what = error.strerror or str(error)
                raise EnvironmentFaultError(
                    f"--port {attempt} on {host}: {what}; give another one"
                ) from error
    raise AssertionError("the last port was tried")


def is_this_machine(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open(host: str, *, insecure: bool) -> None:
    """InputError for an address that others reach, unless the user allows it."""
    if insecure or is_this_machine(host):
        return
    what = f"{shown(host)} can be reached from other machines, and the dashboard asks for no password"
    remedy = "leave it out and reach 127.0.0.1 through ssh -L, or add --insecure"
    raise InputError("archsearch dashboard", [Problem("--host", what, remedy)])


def url_of(server: Server) -> str:
    """Where a browser on this machine finds it."""
    host, port = str(server.server_address[0]), server.server_address[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{name}:{port}"
