"""A computing module for the contract tests: does what its spec says."""

import os
import subprocess
import sys
import time

from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunError, RunFolder


def work(run: RunFolder) -> None:
    spec = run.spec
    print("working", flush=True)
    if spec.get("grandchild"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (run.output / "grandchild").write_text(str(child.pid))
    for step in range(spec.get("steps", 1)):
        run.check_stop()
        run.progress((step + 1) / spec.get("steps", 1))
        time.sleep(spec.get("seconds", 0))
    if spec.get("raise") == "user":
        raise RunError("The data has no images.", reason="no_images")
    if spec.get("raise") == "bug":
        raise ZeroDivisionError
    (run.output / "environment").write_text("\n".join(os.environ))
    run.finish(answer=42)


if __name__ == "__main__":
    sys.exit(run_main(work))
