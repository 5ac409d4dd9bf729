"""`python -m jobs.algorithms RUN_FOLDER`: train a model, or probe what that takes (docs/contracts.md)."""

import os
import sys
from importlib import import_module

from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms import registry
from jobs.algorithms.circumstances import circumstances
from jobs.algorithms.progress import accounted
from jobs.algorithms.runtime import prepare_environment, thread_count


def work(run: RunFolder) -> None:
    """Run the algorithm that the spec names."""
    spec = run.spec
    manifest = registry.manifest(spec["algorithm"])
    prepare_environment(threads=thread_count(spec["threads"]), gpus=spec["gpus"], home=run.path / "keras")
    package = f"jobs.algorithms.{manifest.name}"
    if spec.get("probe"):
        import_module(f"{package}.probe").probe(run)
        return
    run.publish("circumstances", **circumstances())
    with accounted(run):
        import_module(f"{package}.train").train(run)


if __name__ == "__main__":
    code = run_main(work)
    sys.stdout.flush()
    sys.stderr.flush()
    # All is on disk, and taking TensorFlow down in order takes a second of the user's time.
    os._exit(code)
