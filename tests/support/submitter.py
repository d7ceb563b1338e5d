"""A client process that submits pairs and is killed: `python -m tests.support.submitter ADDRESS`.

With --hold it sends one message and leaves the stream open: the service has published and not yet answered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from longstream.batches import pair_message
from longstream.channel import channel
from longstream.client import Addresses, Client
from longstream.v1.curator_pb2 import SubmitPairsRequest
from longstream.v1.curator_pb2_grpc import CuratorServiceStub
from tests.support.stages import MORE_PAIRS


def endless() -> Iterator[SubmitPairsRequest]:
    """One message, then nothing until standard input ends."""
    yield SubmitPairsRequest(pairs=map(pair_message, MORE_PAIRS))
    sys.stdin.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--hold", action="store_true")
    arguments = parser.parse_args()
    if arguments.hold:
        CuratorServiceStub(channel(arguments.address)).SubmitPairs(endless())
    else:
        with Client(Addresses(curator=arguments.address)) as client:
            client.submit_pairs(MORE_PAIRS)


if __name__ == "__main__":
    main()
