"""The traffic of all deployments as Prometheus metrics, read when they are asked for (`/metrics/`)."""

from collections.abc import Iterator

from django.db.models import F
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_LIMITS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


class TrafficCollector(Collector):
    """What was asked since each deployment was made: one row a deployment."""

    def describe(self) -> list[Metric]:
        """Nothing: with it the registry would ask the database while the site starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        from deployments.models import Deployment
        from deployments.traffic.models import Span, Traffic

        names = ["deployment", "name"]
        requests = CounterMetricFamily("dlm_requests", "Requests for predictions", labels=[*names, "status"])
        samples = CounterMetricFamily("dlm_samples", "Images or rows predicted", labels=names)
        classes = CounterMetricFamily("dlm_predictions", "Predictions of each class", labels=[*names, "class"])
        latency = HistogramMetricFamily("dlm_request_seconds", "Time from request to answer", labels=names)
        queue = HistogramMetricFamily("dlm_queue_seconds", "Time that requests waited for their turn", labels=names)
        active = GaugeMetricFamily("dlm_deployment_active", "1 while the deployment answers", labels=names)
        deployments = Deployment.objects.filter(project__deleted_at=None).order_by("pk")
        for pk, name, status in deployments.values_list("pk", "name", "status"):
            active.add_metric([str(pk), name], float(status == Deployment.Status.ACTIVE))
        rows = Traffic.objects.filter(span=Span.EVER, deployment__project__deleted_at=None)
        for row in rows.annotate(name=F("deployment__name")).order_by("deployment"):
            tally, told = row.tally, [str(row.deployment_id), row.name]
            for status, count in sorted(tally.statuses.items()):
                requests.add_metric([*told, status], count)
            samples.add_metric(told, tally.samples)
            for label, count in sorted(tally.classes.items()):
                classes.add_metric([*told, label], count)
            for family, times in ((latency, tally.latency), (queue, tally.queue)):
                buckets = [
                    (str(ms / 1000), count) for ms, count in zip(_LIMITS_MS, times.up_to(_LIMITS_MS), strict=True)
                ]
                family.add_metric(told, [*buckets, ("+Inf", times.count)], times.total_ms / 1000)
        yield from (active, requests, samples, classes, latency, queue)


def register() -> None:
    """Once for each process."""
    if _collector not in REGISTRY._collector_to_names:
        REGISTRY.register(_collector)


_collector = TrafficCollector()
