"""`Q_CLUSTER_NAME=cpu python -m dlmodeler_site.work.cluster`: the worker processes of one queue."""

import os

import django

from dlmodeler_site.parent_death import forked_children_die_with_parent


def main() -> None:
    """Run one django-q2 cluster until SIGTERM."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmodeler_site.settings")
    django.setup()
    # The import reads Q_CLUSTER_NAME and needs the applications.
    from django_q.cluster import Cluster

    # The sentinel of a killed cluster would go on working, unseen and beside its successor.
    forked_children_die_with_parent()
    Cluster().start()


if __name__ == "__main__":
    main()
