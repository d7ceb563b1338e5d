"""`make kafka`: a real Kafka broker and a real S3 gateway on this machine until Ctrl-C, and how to use them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from scripts.kafka import LocalBroker, NoBroker
from scripts.s3 import Credentials, LocalGateway, NoGateway

BUCKET = "longstream"
# Known to all, since it answers on this machine alone; the same after a restart.
_CREDENTIALS = Credentials(access_key="longstream", secret_key="longstream-local")


def main() -> int:
    """Run what was asked for until it is told to end, or ends."""
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as stack:
        try:
            running = _started(args, stack)
            _say("Ctrl-C ends all; what lies there stays.")
            return running[0].wait()
        except (NoBroker, NoGateway) as error:
            print(f"Cannot start: {error}", file=sys.stderr)
            return os.EX_UNAVAILABLE
        except KeyboardInterrupt:
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.local", description=__doc__)
    option = parser.add_argument
    option("--only", choices=["kafka", "s3"], help="start this alone")
    option("--port", type=int, default=9092, help="of the broker (%(default)s)")
    option("--s3-port", type=int, default=7070, help="of the gateway (%(default)s)")
    option("--data", type=Path, default=Path(".cache/local/kafka"), help="of the broker (%(default)s)")
    option("--s3-data", type=Path, default=Path(".cache/local/s3"), help="of the gateway (%(default)s)")
    return parser


def _started(args: argparse.Namespace, stack: ExitStack) -> list[LocalBroker | LocalGateway]:
    running: list[LocalBroker | LocalGateway] = []
    if args.only != "s3":
        running.append(_broker(args, stack))
    if args.only != "kafka":
        try:
            running.append(_gateway(args, stack))
        except NoGateway as error:
            if not running:
                raise
            _say(f"No S3 gateway beside it: {error}")
    return running


def _broker(args: argparse.Namespace, stack: ExitStack) -> LocalBroker:
    _say("Bringing and starting Apache Kafka ...")
    broker = LocalBroker(args.data.resolve(), args.port)
    stack.callback(broker.stop)
    broker.start()
    _say(f"Kafka answers at {broker.address} (its log: {args.data}). To use it:")
    _say(f"  longstream up --pipeline FILE --kafka {broker.address}")
    return broker


def _gateway(args: argparse.Namespace, stack: ExitStack) -> LocalGateway:
    _say("Building (the first time for minutes) and starting the S3 gateway ...")
    gateway = LocalGateway(args.s3_data.resolve(), args.s3_port, _CREDENTIALS)
    stack.callback(gateway.stop)
    gateway.start()
    gateway.make_bucket(BUCKET)
    _say(f"S3 answers at {gateway.address} (its objects: {args.s3_data}). To use it:")
    for name, value in gateway.environ.items():
        _say(f"  export {name}={value}")
    _say(f"  longstream up --pipeline FILE --storage s3://{BUCKET}")
    return gateway


def _say(line: str) -> None:
    print(line, flush=True)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
