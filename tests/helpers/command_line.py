"""The command line as the tests use it: the installed command, or its ``main`` in this process, which is quicker."""

import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

from preloaded_command import PreloadedCommand

from archsearch.cli import main

ARCHSEARCH = Path(sys.executable).with_name("archsearch")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "ARCHSEARCH_DEBUG"},
    "OMP_NUM_THREADS": "1",  # a test wants few threads, and the same accuracies every time
    "COLUMNS": "200",
}
# 4 x 3 x 3 = 36 architectures, a tenth of a second each.
TINY = """\
name: tiny
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [4, 6, 8, 10]}, size: 2}
stages:
  - channels: {choice: [4, 8, 12]}
    depth: 1
    kind:
      conv: {kernel: {choice: [1, 3]}, expansion: 0.5}
      mhsa: {heads: 2, expansion: 0.5, position: none}
study:
  objectives: [top1, macs]
  trials: 3
  recipe: {samples: 128, batch_size: 32, validation_images: 64}
  latency_seconds: 0.01
"""
# For a latency that nobody looks at.
QUICK = ("--seconds", 0.02)


def default_signals():
    """A runner in the background may have these ignored, and a child inherits that."""
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_DFL)


class CommandLine:
    """``archsearch ...`` in one folder."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *arguments):
        """Run to the end; ``returncode``, ``stdout`` and ``stderr`` are what is left."""
        return self.shell(shlex.join([str(ARCHSEARCH), *map(str, arguments)]))

    def shell(self, line):
        """Run a line of bash."""
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments):
        """Start the installed command, and go on without waiting."""
        return subprocess.Popen(
            [ARCHSEARCH, *map(str, arguments)],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=default_signals,  # noqa: PLW1509 - it sets signals and does nothing else
        )

    def start_preloaded(self, *arguments, file_size=None):
        """Start it in a process that need not import anything, and go on without waiting."""
        return PreloadedCommand(arguments, self.folder, ENVIRONMENT, file_size)

    def preloaded(self, *arguments, file_size=None):
        """Run to the end in a process of its own that need not import anything."""
        command = self.start_preloaded(*arguments, file_size=file_size)
        out, err = command.communicate()
        return subprocess.CompletedProcess(arguments, command.returncode, out, err)

    def here(self, *arguments):
        """Run to the end in this process, which has torch already."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        kept = {stop: signal.getsignal(stop) for stop in (signal.SIGTERM, signal.SIGHUP)}
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self.folder))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            stack.enter_context(mock.patch.object(sys, "argv", ["archsearch", *map(str, arguments)]))
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code
            finally:
                for stop, handler in kept.items():
                    signal.signal(stop, handler)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
