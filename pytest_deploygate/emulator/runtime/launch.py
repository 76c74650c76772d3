"""Runs functions-framework inside a function's own environment; executed by path, with that interpreter.

It imports nothing of this package, as the function's environment does not have it. On Linux it gives the instance a
``/tmp`` of its own, lays a layer of its own over the packages, takes all privileges from it, and asks the kernel to end
it when the emulator dies, since a killed parent cannot. Where no layer can be had, the instance runs on copies of its
packages, so that what it writes there reaches no other instance and not the build.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
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
    main()
