"""What the list of jobs can be searched for."""

from typing import Any

import django_filters
from django.db.models import Q

from jobs.models import Job, JobQuerySet


class JobFilter(django_filters.FilterSet):
    """`?search=`, and `?created_after=` / `?created_before=` as dates."""

    search = django_filters.CharFilter(method="find")
    created = django_filters.DateFromToRangeFilter(field_name="created_at")

    class Meta:
        model = Job
        fields: tuple[str, ...] = ()

    def find(self, jobs: JobQuerySet, _name: str, value: Any) -> JobQuerySet:
        return jobs.filter(
            Q(name__icontains=value) | Q(description__icontains=value) | Q(creator__username__icontains=value)
        )
