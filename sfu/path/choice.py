"""Which packet path runs: the compiled one where it can be imported, or the pure one."""

from __future__ import annotations

import importlib
import socket
from typing import Literal, cast

import structlog

from sfu.path.interface import PacketPath
from sfu.path.python.path import PythonPath

_NATIVE_MODULE = "sfu.native.path"
_SOCKET_BUFFER = 4 << 20

log = structlog.get_logger(__name__)


class NativePathMissing(RuntimeError):
    """The setting demands the compiled packet path, and it can't be imported."""


def native_available() -> bool:
    try:
        importlib.import_module(_NATIVE_MODULE)
    except ImportError:
        return False
    return True


def open_path(sock: socket.socket, native: Literal["auto", "on", "off"] = "auto") -> PacketPath:
    """Take over a bound UDP socket. Raises NativePathMissing when `native` is "on" and it can't be.

    The operating system may grant less buffer than is asked for here (net.core.rmem_max).
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
    if native == "off":
        return PythonPath(sock)
    try:
        module = importlib.import_module(_NATIVE_MODULE)
    except ImportError as error:
        if native == "on":
            raise NativePathMissing(f"no compiled packet path: {error}") from error
        log.warning("packet path is pure Python: the compiled one is not installed")
        return PythonPath(sock)
    return cast(PacketPath, module.NativePath(sock))
