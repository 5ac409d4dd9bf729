"""The readers by the name that manifests give in `reads`: a module and an entry here for each kind of data."""

from jobs.algorithms.base import Manifest
from jobs.algorithms.registry import manifest
from jobs.readers.base import Reader
from jobs.readers.labelled_images import LabelledImages
from jobs.readers.table import Tables

_READERS: dict[str, Reader] = {"labelled_images": LabelledImages(), "table": Tables()}


def reader(of: Manifest) -> Reader:
    """Who reads the data of an algorithm."""
    return _READERS[of.reads]


def reader_of(algorithm: str) -> Reader:
    """Who reads the data of the algorithm of that name; raises `UnknownAlgorithmError`."""
    return reader(manifest(algorithm))
