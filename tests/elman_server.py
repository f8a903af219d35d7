"""A process that has imported the libraries, and runs each ``elman`` command in a fork of itself.

A new process spends two seconds on imports, and the pages have over a hundred commands.  ``serving``
gives a folder for the search path with a program ``elman`` that asks the server.  Arguments, working
folder, environment, standard streams and exit status are the command's own.
"""

import atexit
import contextlib
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

#: modules that most commands import
PRELOADED = ("torch._dynamo", "elman.cli", "elman.nn", "elman.backends.native", "elman.tasks.train")
#: commands that another program stops with a signal run in a process of their own
OUTSIDE = ("serve",)

_CLIENT = f"""\
#!{sys.executable} -IS
import json, os, socket, sys
if sys.argv[1:2] and sys.argv[1] in {OUTSIDE}:
    own = {str(Path(sys.executable).parent / "elman")!r}
    os.execv(own, [own, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect(os.path.join(os.path.dirname(sys.argv[0]), "socket"))
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(asked).to_bytes(8, "little")], [0, 1, 2])
server.sendall(asked)
status = server.recv(1)
sys.exit(status[0] if status else "the server has ended")
"""


@contextlib.contextmanager
def serving() -> Iterator[Path]:
    """The folder with the program, while the server runs."""
    folder = Path(tempfile.mkdtemp())
    program = folder / "elman"
    program.write_text(_CLIENT)
    program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, str(folder / "socket")], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield folder
    finally:
        server.terminate()
        server.communicate()
        shutil.rmtree(folder)


def serve(path: str) -> None:
    """Answer until a signal ends this process; returns in forks, which then run their command."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        waiter = os.fork()
        if waiter == 0:
            if _fork_command(client):
                return
            os._exit(0)
        client.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _fork_command(client: socket.socket) -> bool:
    """True in the process that is to run the command; the other sends its status."""
    head, streams, _, _ = socket.recv_fds(client, 8, 3)
    size, parts = int.from_bytes(head, "little"), b""
    while len(parts) < size:
        parts += client.recv(size - len(parts))
    command = os.fork()
    if command:
        _, status = os.waitpid(command, 0)
        code = os.waitstatus_to_exitcode(status)
        client.send(bytes([code if code >= 0 else 128 - code]))
        return False
    client.close()
    arguments, folder, environment = json.loads(parts)
    for stream, number in zip(streams, range(3), strict=True):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["elman", *arguments]
    # those of the server have positions of their own
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", closefd=False)
    return True


def run() -> int:
    """Run the command as a process of its own would, and return its status."""
    from elman.cli import main

    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for module in PRELOADED:
        __import__(module)
    gc.freeze()
    serve(sys.argv[1])
    status = run()
    # without the interpreter's end, which would touch, and so copy, all memory of the server
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
