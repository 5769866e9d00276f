"""One of several processes, which does what it is told: `python -m tests.runtime.worker FOLDER DO_FIRST DO_SECOND`."""

import os
import signal
import sys
import time
from pathlib import Path

NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def main() -> None:
    """Leave a file that says who this is, and when all have, do as the word for this one says."""
    folder, *words = sys.argv[1:]
    rank, size = (int(os.environ[name]) for name in NUMBERS[:2])
    numbers = " ".join(os.environ[name] for name in NUMBERS)
    own = Path(folder) / f"{rank}"
    own.with_suffix(".tmp").write_text(f"{numbers} {os.getpid()}")
    own.with_suffix(".tmp").rename(own)
    while not all((Path(folder) / f"{other}").exists() for other in range(size)):
        time.sleep(0.01)
    match words[rank]:
        case "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            time.sleep(60)
        case "fail":
            sys.exit("error: a file is missing")
        case "fail later":
            time.sleep(0.5)
            sys.exit("error: the first one says it")
        case "print":
            print(f"{rank} is done")
        case code:
            time.sleep(0.5)
            sys.exit(int(code))


if __name__ == "__main__":
    main()
