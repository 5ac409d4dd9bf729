"""`make bench`: every benchmark in a process of its own; `python -m benchmarks NAME …` runs these.

IMAGES=dir LABELS=csv PREDICT=dir in the environment, as `make demo` takes them, replace what the demo draws;
ARCHIVE=zip replaces the drawn photos of the archive.
"""

import os
import subprocess
import sys

ALL: dict[str, tuple[str, ...]] = {
    "idle": (),
    "upload": (),
    "archive": ("archive",),
    "object_import": (),
    "preprocessing": (),
    "life_cycle": ("images", "labels", "predict"),
    "training": ("images", "labels"),
    "throughput": (),
    "tabular": (),
    "serving": (),
    "serving_precision": ("images", "labels"),
}


def main() -> int:
    failed = []
    for name in sys.argv[1:] or ALL:
        print(f"\n== {name}", flush=True)
        taken = ALL.get(name, ())
        given = {option: os.environ.get(option.upper(), "") for option in taken}
        arguments = [word for option, value in given.items() if all(given.values()) for word in (f"--{option}", value)]
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nnot met or failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
