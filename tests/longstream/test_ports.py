"""Whether an address can be listened on, as `up` and the doctor ask."""

from __future__ import annotations

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from longstream.ports import is_free
from scripts.kafka import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_port_is_free_until_somebody_listens(host: str) -> None:
    port = free_port()
    assert is_free(host, port)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as other:
        # As gRPC servers do it: alone, such an option must not hide who listens.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((host.strip("[]"), port))
        other.listen(1)
        assert not is_free(host, port)
    assert is_free(host, port)


def test_many_who_look_at_once_do_not_take_each_other_for_a_program() -> None:
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(partial(is_free, "127.0.0.1"), [free_port()] * 2_000))
    assert all(seen)


def test_a_connection_that_lingers_does_not_hold_its_port() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        server.accept()[0].close()  # who closes first keeps the address in TIME_WAIT
        client.recv(1)
        client.close()
    assert is_free("127.0.0.1", port)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="assign requested address") as caught:
        is_free("192.0.2.1", 7400)
    assert caught.value.errno == errno.EADDRNOTAVAIL
