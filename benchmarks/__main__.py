"""`make bench`: every benchmark in a process of its own; `python -m benchmarks NAME ...` runs these."""

import subprocess
import sys

ALL = ("idle", "upload", "life_cycle", "training", "serving")


def main() -> int:
    failed = []
    for name in sys.argv[1:] or ALL:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nnot met or failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
