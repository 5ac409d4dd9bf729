"""`python -m jobs.bundles RUN_FOLDER`: writes a bundle's network in another format (docs/contracts.md)."""

import sys
from pathlib import Path

from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import ImageInput, load_bundle
from jobs.bundles.errors import BundleError
from jobs.bundles.formats import WRITERS, NotConvertibleError


def work(run: RunFolder) -> None:
    spec = run.spec
    format_name = spec["format"]
    file_name, write = WRITERS[format_name]
    try:
        bundle = load_bundle(Path(spec["bundle"]))
    except BundleError as error:
        raise RunError(error.message, reason="bundle_invalid") from error
    if not isinstance(bundle.input, ImageInput):
        raise RunError(
            _("A model of tables reads its rows as text, which this format cannot. Use the SavedModel."),
            reason="not_convertible",
        )
    try:
        write(bundle.path, run.output / file_name)
    except NotConvertibleError as error:
        print(error, file=sys.stderr, flush=True)
        raise RunError(
            _("The network has a part that this format does not know. Use the SavedModel."), reason="not_convertible"
        ) from error
    run.finish(file=file_name, size_bytes=(run.output / file_name).stat().st_size)


if __name__ == "__main__":
    sys.exit(run_main(work))
