"""Runs a command in a user namespace of its own, where root is an ordinary user: PostgreSQL refuses to run as root.

Started as a script by the base interpreter, standard library only; it replaces itself with the command, so the process
keeps its pid. Files that the command makes belong to root outside, and no mode or owner of any folder changes.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_INSIDE = 1000


def enter_namespace() -> None:
    """Become user 1000 of a new namespace, who is the present user outside of it."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    for name, text in (("uid_map", f"{_INSIDE} {uid} 1"), ("setgroups", "deny"), ("gid_map", f"{_INSIDE} {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


def main(command: list[str]) -> int:
    """Replace this process with the command; without one, only try whether it would work."""
    try:
        enter_namespace()
    except OSError as error:
        sys.stderr.write(f"user namespaces are not allowed here: {error}\n")
        return 125
    if command:
        os.execv(command[0], command)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
