"""Where the dashboard listens: this machine alone, unless the user allows more."""

import re
import socket
import threading
import urllib.request

import pytest

from archsearch.cli.app import app
from archsearch.dashboard import serve
from archsearch.dashboard.serve import bind_server, refuse_open, url_of
from archsearch.errors import EnvironmentFaultError, InputError


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_usual_port_that_is_taken_is_replaced_by_a_free_one(taken, monkeypatch):
    monkeypatch.setattr(serve, "PORT", taken)

    with bind_server("127.0.0.1", None) as server:
        assert server.server_port != taken
        assert url_of(server) == f"http://127.0.0.1:{server.server_port}"


def test_a_port_that_was_asked_for_and_is_taken_is_refused(taken):
    with pytest.raises(EnvironmentFaultError, match=f"--port {taken} on 127.0.0.1: .*in use; give another"):
        bind_server("127.0.0.1", taken)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_machine_needs_no_flag(host):
    refuse_open(host, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "somewhere.example"])
def test_others_are_let_in_only_with_a_flag(host):
    refuse_open(host, insecure=True)

    with pytest.raises(InputError) as caught:
        refuse_open(host, insecure=False)

    assert str(caught.value) == (
        f"archsearch dashboard: --host: {host} can be reached from other machines, and the dashboard asks for no "
        "password; leave it out and reach 127.0.0.1 through ssh -L, or add --insecure"
    )


@pytest.fixture
def visited(monkeypatch):
    """What one visitor is answered who comes when the server has begun; then the user presses Ctrl-C."""
    seen = []

    def visit(server):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/dashboard", timeout=60) as answer:
            seen.append(answer.read())

    def serve_one(server):
        visitor = threading.Thread(target=visit, args=(server,))
        visitor.start()
        server.handle_request()
        visitor.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(serve.Server, "serve_forever", serve_one)
    return seen


def test_the_command_serves_until_it_is_stopped(searched, visited, capsys):
    left = app(["dashboard", str(searched)], standalone_mode=False)
    how, address = capsys.readouterr().out.splitlines()

    assert left == 130
    assert how == f"{searched} (read-only; Ctrl-C ends it)"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/dashboard/studies/1", address)
    assert b"<html" in visited[0]


def test_the_command_warns_loudly_of_an_open_door(searched, visited, capsys):
    app(
        ["dashboard", str(searched), "--host", "0.0.0.0", "--insecure", "--writable"],
        standalone_mode=False,
    )

    assert re.fullmatch(
        r"archsearch: warning: anybody who reaches 0\.0\.0\.0:\d+ READS, CHANGES and DELETES this run: "
        r"there is no password\n",
        capsys.readouterr().err,
    )
