"""Whether a program could listen at an address of this machine."""

from __future__ import annotations

import errno
import socket


def is_free(host: str, port: int) -> bool:
    """Whether nobody holds the port. Raises OSError where the host is none of this machine's, or may not be used."""
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as probe:
        # Without this, connections of a former program that linger in TIME_WAIT would count as another one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # Not listened on: two who look at once would each take the other for a program.
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
