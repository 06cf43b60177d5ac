"""Prepare a fresh deployment, and log a kiosk in. Runs in the image of the operators' command.

`prepare` is idempotent: it makes the replica set, the topics, the catalogue and one kiosk.
`login INSIDE OUTSIDE` prints the address at which a browser is logged in as that kiosk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

KIOSK, BRANCH = "k-310115-001", "b-310115-01"
KEY = Path("/var/lib/tongban") / f"{KIOSK}.pem"
ALREADY_INITIALISED = 23
"""MongoDB's error code AlreadyInitialized."""
PATIENCE_S = 180
UNAVAILABLE = 69
"""Exit code of a command that Kafka or intake did not answer (sysexits' EX_UNAVAILABLE)."""
PAUSE_S = 2.0


def main(arguments: list[str]) -> None:
    """Run the step that the first argument names."""
    match arguments:
        case ["prepare"]:
            make_replica_set(os.environ["TONGBAN_STORE"])
            tongban("topics", "apply")
            tongban("catalogue", "publish")
            if not KEY.exists():
                tongban(
                    "kiosk", "enrol", KIOSK, "--branch", BRANCH, "--generate", "--out", str(KEY)
                )
        case ["login", inside, outside]:
            token = tongban("kiosk", "token", KIOSK, "--key", str(KEY), "--intake", inside)
            print(f"Open {outside}/kiosk/login?token={token.strip()}")
        case _:
            sys.exit(__doc__)


def make_replica_set(url: str) -> None:
    """Make a replica set of the one member that `url` names, and wait until it is the primary.

    A store that another deployment provides, or with several members, is left alone.
    """
    parsed = parse_uri(url)
    name = parsed["options"].get("replicaSet")
    if not name or len(parsed["nodelist"]) != 1:
        return
    host = "{}:{}".format(*parsed["nodelist"][0])
    member = {"_id": 0, "host": host}
    with MongoClient(host, directConnection=True, serverSelectionTimeoutMS=30_000) as client:
        if not client.admin.command("hello").get("setName"):
            try:
                client.admin.command("replSetInitiate", {"_id": name, "members": [member]})
            except OperationFailure as error:
                if error.code != ALREADY_INITIALISED:
                    raise
        deadline = time.monotonic() + PATIENCE_S
        while not _is_primary(client):
            if time.monotonic() > deadline:
                sys.exit(f"{host} is not the primary of {name} after {PATIENCE_S} s")
            time.sleep(0.2)


def _is_primary(client: MongoClient) -> bool:
    try:
        return bool(client.admin.command("hello").get("isWritablePrimary"))
    except PyMongoError:
        return False


def tongban(*arguments: str) -> str:
    """Run the operators' command and return what it prints; end with its exit code if it fails.

    The broker's port is open seconds before the broker creates topics, on a busy machine minutes.
    Compose does not start a service whose `setup` failed, so a command is repeated while the broker
    does not answer.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done = subprocess.run(  # noqa: S603 - argv is ours
            ["tongban", *arguments],  # noqa: S607 - on the image's PATH
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != UNAVAILABLE or time.monotonic() > deadline:
            break
        time.sleep(PAUSE_S)
    if done.returncode:
        sys.exit(done.returncode)
    if arguments[:2] != ("kiosk", "token"):
        print(" ".join(arguments[:2]), "->", done.stdout.strip(), flush=True)
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
