"""What deployments were asked: tallies of spans of time, and the latest requests one by one."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from deployments.traffic.tally import Tally
from dlmodeler_site.access import ScopedQuerySet


class Span(models.IntegerChoices):
    """How long a tally is, in seconds."""

    MINUTE = 60, _("Minute")
    TEN_MINUTES = 600, _("Ten minutes")
    HOUR = 3600, _("Hour")
    DAY = 86_400, _("Day")
    EVER = 0, _("Ever")

    def begin(self, at: datetime) -> datetime:
        """When the span of this length that holds `at` began."""
        seconds = int(at.timestamp())
        return datetime.fromtimestamp(seconds - seconds % self if self else 0, tz=at.tzinfo)


# For how long tallies are kept; those of "ever" as long as their deployment.
KEPT = {
    Span.MINUTE: timedelta(hours=3),
    Span.TEN_MINUTES: timedelta(days=2),
    Span.HOUR: timedelta(days=15),
    Span.DAY: timedelta(days=400),
}
MOST_LOGGED = 100_000  # requests of one deployment


class TrafficQuerySet(ScopedQuerySet):
    to_project = "deployment__project"


class Traffic(models.Model):
    """The tally of one deployment's requests in one span of time."""

    deployment = models.ForeignKey(
        "deployments.Deployment", verbose_name=_("deployment"), on_delete=models.CASCADE, related_name="traffic"
    )
    span = models.PositiveIntegerField(_("span"), choices=Span)
    begins_at = models.DateTimeField(_("begins at"))
    counts = models.JSONField(_("counts"), default=dict)

    objects = TrafficQuerySet.as_manager()

    class Meta:
        app_label = "deployments"
        verbose_name = _("traffic")
        verbose_name_plural = _("traffic")
        ordering: ClassVar = ["-begins_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["deployment", "span", "begins_at"], name="one_tally_per_span")
        ]

    def __str__(self) -> str:
        return f"{self.deployment}: {self.begins_at:%Y-%m-%d %H:%M}"

    @property
    def tally(self) -> Tally:
        return Tally.from_json(self.counts)


class LoggedRequest(models.Model):
    """One request for a prediction, as it was answered. Nothing of what was sent is kept."""

    deployment = models.ForeignKey(
        "deployments.Deployment", verbose_name=_("deployment"), on_delete=models.CASCADE, related_name="logged_requests"
    )
    at = models.DateTimeField(_("at"), db_index=True)
    request_id = models.CharField(_("request id"), max_length=32)
    token = models.ForeignKey(
        "deployments.DeploymentToken",
        verbose_name=_("token"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    version = models.PositiveIntegerField(
        _("version"), default=0, help_text=_("The one that answered, or 0 where none did.")
    )
    status = models.PositiveSmallIntegerField(_("status"))
    reason = models.CharField(_("reason"), max_length=50, blank=True)
    latency_ms = models.FloatField(_("latency"))
    samples = models.PositiveIntegerField(_("samples"), default=0)
    label = models.CharField(_("first predicted class"), max_length=200, blank=True)
    confidence = models.FloatField(_("its probability"), null=True)

    objects = TrafficQuerySet.as_manager()

    class Meta:
        app_label = "deployments"
        verbose_name = _("logged request")
        verbose_name_plural = _("logged requests")
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return self.request_id


def sweep() -> None:
    """Delete tallies and logged requests that are older than they are kept, and what a log has too many of."""
    now = timezone.now()
    for span, kept in KEPT.items():
        Traffic.objects.filter(span=span, begins_at__lt=now - kept).delete()
    LoggedRequest.objects.filter(at__lt=now - timedelta(days=settings.DLM_REQUEST_LOG_DAYS)).delete()
    logged = LoggedRequest.objects.order_by()
    many = logged.values("deployment").annotate(count=models.Count("pk")).filter(count__gt=MOST_LOGGED)
    for deployment in many.values_list("deployment", flat=True):
        ids = LoggedRequest.objects.filter(deployment=deployment).order_by("-pk").values_list("pk", flat=True)
        LoggedRequest.objects.filter(deployment=deployment, pk__lte=ids[MOST_LOGGED]).delete()
