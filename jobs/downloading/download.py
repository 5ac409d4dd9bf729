"""A training's model as one archive, made while it is sent."""

import tarfile
import zlib
from collections.abc import Iterator

from django.utils.translation import gettext as _

from dlmodeler_site.errors import Conflict
from dlmodeler_site.storage import workspace
from jobs.bundles.bundle import KERAS_FILE
from jobs.models import Training

CHUNK_BYTES = 256 * 1024
GZIP = 31  # zlib's window bits for a gzip header
END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)


def model_archive(training: Training) -> tuple[str, Iterator[bytes]]:
    """File name and content of the SavedModel as .tar.gz. Memory does not grow with the model.

    Raises:
        Conflict: the training has no model yet (`no_model`).
    """
    if not training.export_key:
        raise Conflict(
            _("“%(name)s” has no model: it is %(status)s. A training has a model once it is completed.")
            % {"name": training.name, "status": training.get_status_display().lower()},
            reason="no_model",
        )
    return f"{training.slug}.tar.gz", _gzip(_tar(training.export_key, training.slug))


def _tar(prefix: str, folder: str) -> Iterator[bytes]:
    for key in sorted(workspace().keys(prefix)):
        if key == f"{prefix}/{KERAS_FILE}":  # a download of its own
            continue
        member = tarfile.TarInfo(f"{folder}/{key[len(prefix) + 1 :]}")
        member.size = workspace().size(key)
        member.mode = 0o644
        yield member.tobuf(tarfile.PAX_FORMAT)
        with workspace().open(key, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield END_OF_ARCHIVE


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(level=1, wbits=GZIP)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()
