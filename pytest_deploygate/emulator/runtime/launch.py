"""Runs functions-framework inside a function's own environment; executed by path, with that interpreter.

It imports nothing of this package, as the function's environment does not have it. On Linux it gives the instance a
``/tmp`` of its own, lays a layer of its own over the packages, takes all privileges from it, and asks the kernel to end
it when the emulator dies, since a killed parent cannot. Where no layer can be had, the instance runs on copies of its
packages, so that what it writes there reaches no other instance and not the build.

With ``--serve`` it loads the framework once and forks an instance for each request on its standard input, which takes a
quarter of the time of a start with loading.
"""

import ctypes
import os
import runpy
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # each cold start waits for imports
    from collections.abc import Iterator
    from typing import Any

_PR_SET_PDEATHSIG = 1
_MADV_POPULATE_WRITE = 23
_FRAMEWORK = (
    "functions_framework",
    "functions_framework._cli",
    "functions_framework._http.gunicorn",
    "gunicorn.glogging",
)
"""What an instance imports before the function's own module."""
_REQUEST_BYTES = 1 << 20
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    """Usage: ``launch.py PARENT_PID INSTANCE_FOLDER functions-framework-arguments...``."""
    parent, folder = int(sys.argv[1]), sys.argv[2]
    source = os.getcwd()  # noqa: PTH109 - pathlib would be one more import in each cold start
    copies = f"{folder}/environment"
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if sys.prefix != copies and not (libc is not None and _is_set_apart(libc, folder)):
        _restart_on_copies(copies)
    if libc is not None:
        os.chdir(source)
        _drop_capabilities(libc)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    # The directory of this file must not shadow modules of the function, whose own directory comes first.
    sys.path[0] = source
    sys.argv[:] = ["functions_framework", *sys.argv[3:]]
    runpy.run_module("functions_framework", run_name="__main__", alter_sys=True)


def serve() -> None:
    """Usage: ``launch.py --serve PARENT_PID``, with a socket of packets as standard input.

    A request is a JSON object: ``id``, ``folder`` and ``arguments`` as in :func:`main`, ``directory``, ``environment``,
    ``log``. It is answered with ``{"started": id, "pid": ...}``, and when the instance has ended, or could not be
    forked, with ``{"ended": id, "status": ...}``, where the status is negative for a signal. Returns in each instance;
    the server ends with the socket.
    """
    import json
    import select
    import socket

    del sys.path[0]  # the directory of this file
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[2]):
        sys.exit(1)
    _load_framework()
    channel = socket.socket(fileno=os.dup(0))
    ends = ended, wake = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    server = os.getpid()
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([channel.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            for pid, status in _all_ended():
                channel.send(json.dumps({"ended": running.pop(pid), "status": status}).encode())
        if channel.fileno() not in ready:
            continue
        packet = channel.recv(_REQUEST_BYTES)
        if not packet:
            os._exit(0)
        request = json.loads(packet)
        try:
            pid = os.fork()
        except OSError as error:
            channel.send(json.dumps({"ended": request["id"], "status": error.errno}).encode())
            continue
        if not pid:
            break
        running[pid] = request["id"]
    _forget_server(ends)
    channel.send(json.dumps({"started": request["id"], "pid": os.getpid()}).encode())
    channel.close()
    _become_instance(request, server, libc)


def _forget_server(ends: "tuple[int, int]") -> None:
    """Give up what is the server's: its session, its pipe, and that it hears of its children."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for end in ends:
        os.close(end)
    os.setsid()


def _load_framework() -> None:
    import importlib

    for name in _FRAMEWORK:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001, S112 - an instance that needs it fails likewise, and has a log
            continue


def _all_ended() -> "Iterator[tuple[int, int]]":
    """Process id and exit status of each instance that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _become_instance(request: "dict[str, Any]", server: int, libc: ctypes.CDLL) -> None:
    """Have all of the process as if it had been started for this instance alone."""
    import time

    for place, number, flags in (
        (os.devnull, 0, os.O_RDONLY),
        (request["log"], 1, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
    ):
        opened = os.open(place, flags, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["directory"])
    sys.argv[1:] = [str(server), request["folder"], *request["arguments"]]
    sys.path.insert(0, request["directory"])
    if not _owns_its_memory(libc) or _is_shadowed(request["directory"]):
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - this program, from its beginning


def _owns_its_memory(libc: ctypes.CDLL) -> bool:
    """Copy all pages that are shared with the server, as they would count by halves; False where that is not known."""
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib would be one more import in each cold start
        maps = [line.split(maxsplit=2) for line in file]
    for span, permissions, *_ in maps:
        if permissions != "rw-p":
            continue
        first, last = (int(end, 16) for end in span.split("-"))
        size = ctypes.c_size_t(last - first)
        if libc.madvise(ctypes.c_void_p(first), size, _MADV_POPULATE_WRITE) != 0:
            return False
    return True


def _is_shadowed(source: str) -> bool:
    """Whether the function has a module of a name that was loaded before it was there."""
    own = {entry.name.partition(".")[0] for entry in os.scandir(source)}
    return any(name in own for name in sys.modules)


def _is_set_apart(libc: ctypes.CDLL, folder: str) -> bool:
    """Give the instance its own ``/tmp`` and its own layer of packages; False where it has no layer."""
    is_layered = False
    try:
        _unshare(libc)
        is_layered = _mount_layer(libc, folder)
        _mount_own_tmp(libc, folder)
        os.environ.pop("TMPDIR", None)
    except OSError as error:
        sys.stderr.write(
            f"this machine lets no instance have a /tmp of its own ({error}): "
            f"tempfile.gettempdir() is private, a path that begins with /tmp is not\n"
        )
    return is_layered


def _restart_on_copies(copies: str) -> None:
    import shutil  # only where it is needed: each cold start waits for its imports

    shutil.copytree(sys.prefix, copies, symlinks=True)
    python = f"{copies}/bin/python"
    os.execv(python, [python, *sys.argv])  # noqa: S606 - the program that runs here, with the same arguments


def _unshare(libc: ctypes.CDLL) -> None:
    """Go into a mount namespace of its own.

    Raises:
        OSError: the kernel does not allow it.
    """
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWNS) != 0:
        _check(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
        for name, text in (
            ("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1"), ("uid_map", f"{uid} {uid} 1"),
        ):  # fmt: skip
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - as above
                file.write(text)
    _mount(libc, "none", "/", _MS_REC | _MS_PRIVATE)


def _mount_layer(libc: ctypes.CDLL, folder: str) -> bool:
    """Let what the instance changes in its packages go to a directory of its own; False where that cannot be had."""
    packages = sys.prefix
    if set(folder + packages) & set(",:\\"):  # they have a meaning in the options
        return False
    own = f"lowerdir={packages},upperdir={folder}/layer/changes,workdir={folder}/layer/work"
    for options in (own, f"{own},userxattr"):  # the second for those who are not root
        try:
            _mount(libc, "overlay", packages, 0, kind="overlay", options=options)
        except OSError:
            continue
        return True
    return False


def _mount_own_tmp(libc: ctypes.CDLL, folder: str) -> None:
    """Show the instance's own directory as ``/tmp``.

    Raises:
        OSError: the kernel does not allow it.
    """
    own = os.path.join(folder, "tmp")  # noqa: PTH118 - as above
    shown = os.path.realpath("/tmp")  # noqa: S108 - it is the very directory that is replaced
    # What the process needs and lies below /tmp is shown there again.
    for needed in {os.path.realpath(path) for path in (folder, sys.prefix, sys.base_prefix)}:
        if needed.startswith(f"{shown}/"):
            place = own + needed[len(shown) :]
            os.makedirs(place, exist_ok=True)  # noqa: PTH103 - as above
            _mount(libc, needed, place, _MS_BIND | _MS_REC)
    _mount(libc, own, shown, _MS_BIND | _MS_REC)


def _mount(
    libc: ctypes.CDLL, source: str, target: str, flags: int, *, kind: str = "", options: str = ""
) -> None:
    names = (text.encode() or None for text in (source, target, kind))
    _check(libc.mount(*names, ctypes.c_ulong(flags), options.encode() or None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve()
    main()
