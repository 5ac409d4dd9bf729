"""Datasets, their data (immutable versions) and the files of these; connections, exports and recipes."""

from datasets.models.connections import Connection, ConnectionQuerySet
from datasets.models.data import LARGE, LARGE_OF_DATA, Data, DataQuerySet, Dataset, File, disk_bytes
from datasets.models.exports import Export
from datasets.models.recipes import Recipe

__all__ = [
    "LARGE",
    "LARGE_OF_DATA",
    "Connection",
    "ConnectionQuerySet",
    "Data",
    "DataQuerySet",
    "Dataset",
    "Export",
    "File",
    "Recipe",
    "disk_bytes",
]
