"""Deletes what data were made from where the process that should have done so was killed."""

import shutil
from datetime import timedelta

from django.utils import timezone

from datasets.incoming import data_folders
from datasets.models import Data
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status

# Within this time after the completion some round of the sweep has come by, whatever was killed.
_LATELY = timedelta(days=1)


def sweep() -> None:
    """Delete fetched objects of data that are completed or gone, and archives of data that were completed lately."""
    folders = data_folders()
    needed = Data.everything.filter(pk__in=folders).exclude(status=Status.COMPLETED).values_list("pk", flat=True)
    for pk in folders.keys() - set(needed):
        shutil.rmtree(folders[pk], ignore_errors=True)
    since = timezone.now() - _LATELY
    for data in Data.everything.filter(kind=Data.Kind.RAW, status=Status.COMPLETED, finished_at__gte=since).only("pk"):
        workspace().delete_tree(data.archives_key)
