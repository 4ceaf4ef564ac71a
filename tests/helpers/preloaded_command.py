"""The command line in processes that are forked from one which has imported everything: python preloaded_command.py FD.

A forked command has its own standard streams, folder, signals and limits, and its interpreter ends as any other;
only the seconds of importing are saved. FD is a socket on which commands arrive.
"""

import array
import atexit
import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from importlib import import_module

IMPORTED = (
    "archsearch.cli.run",
    "archsearch.cli.train",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "sklearn.datasets",
)
DEFAULTS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGCHLD: signal.SIG_DFL,
}


# --- the process that commands are forked from ------------------------------------------------------


def serve(commands):
    """Fork a command for every message; returns in the command, with its arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(commands, 65536, 3)
        if not message:
            sys.exit()
        if os.fork() == 0:
            for number, handler in DEFAULTS.items():
                signal.signal(number, handler)
            commands.close()
            return start(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def start(wanted, out, err, status):
    """Fork once more: the command, and a parent that tells its number and later its exit code."""
    child = os.fork()
    if child == 0:
        os.dup2(out, 1)
        os.dup2(err, 2)
        for descriptor in (out, err, status):
            os.close(descriptor)
        os.chdir(wanted["folder"])
        if wanted["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["file_size"], resource.RLIM_INFINITY))
        return wanted["arguments"]
    os.close(out)
    os.close(err)
    os.write(status, array.array("i", [child]).tobytes())
    _, ended = os.waitpid(child, 0)
    os.write(status, array.array("i", [os.waitstatus_to_exitcode(ended)]).tobytes())
    os._exit(0)


# --- the test that starts them ----------------------------------------------------------------------


@functools.cache
def server(environment):
    """The socket of the process that commands are forked from, started once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env=dict(environment),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    atexit.register(end, ours, process)
    return ours


def end(ours, process):
    """The server ends when nobody can ask it for anything."""
    ours.close()
    process.wait()


class PreloadedCommand:
    """``archsearch`` with ``arguments`` in ``folder``, started; as a ``subprocess.Popen`` of text as far as tests ask.

    ``file_size``: no file may grow beyond so many bytes, as if the disk were full.
    """

    def __init__(self, arguments, folder, environment, file_size=None):
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the command is
        reading, writing = os.pipe()
        self.status, status = socket.socketpair()
        wanted = {"arguments": list(map(str, arguments)), "folder": str(folder), "file_size": file_size}
        descriptors = [writing, self.errors.fileno(), status.fileno()]
        socket.send_fds(
            server(tuple(sorted(environment.items()))), [json.dumps(wanted).encode()], descriptors
        )
        os.close(writing)
        status.close()
        self.stdout = os.fdopen(reading, encoding="utf-8")
        self.pid, self.returncode = self.told(), None

    def told(self):
        """A number from the command's parent."""
        return array.array("i", self.status.recv(4))[0]

    def send_signal(self, number):
        os.kill(self.pid, number)

    @property
    def stderr(self):
        """What was complained of so far, to be read from its beginning."""
        self.errors.seek(0)
        return self.errors

    def communicate(self, timeout=60):
        """The rest of the output, and all complaints."""
        self.status.settimeout(timeout)
        with self.stdout, self.errors, self.status:
            rest = self.stdout.read()
            self.returncode = self.told()
            return rest, self.stderr.read()


if __name__ == "__main__":
    for module in IMPORTED:
        import_module(module)
    sys.argv = ["archsearch", *serve(socket.socket(fileno=int(sys.argv[1])))]
    from archsearch.cli import main

    main()
