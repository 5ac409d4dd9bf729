"""`python -m tests.site.fake_site HOME JSON`: a real supervisor over a table of small processes."""

import json
import sys
from pathlib import Path

from dlmodeler_site.processes import Process
from dlmodeler_site.start_checks import CannotStart, hold
from dlmodeler_site.supervisor import Supervisor, Timing


def main(home: Path, description: dict) -> int:
    table = [Process(name, tuple(argv)) for name, argv in description["table"].items()]
    prepare = Process("prepare", tuple(description["prepare"])) if "prepare" in description else None
    try:
        with hold(home):
            return Supervisor(home, table, prepare=prepare, timing=Timing(**description.get("timing", {}))).run()
    except CannotStart as error:
        print(error)
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
