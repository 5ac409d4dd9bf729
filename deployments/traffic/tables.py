"""The list of logged requests."""

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.tables import MAIN, TEXT, SiteTable, cell, moment

NUMBER = {"td": {"class": "text-nowrap"}}


class LoggedRequestTable(SiteTable):
    at = moment(_("Time"))
    status = cell("deployments/answer_status", verbose_name=_("Answer"))
    latency_ms = cell("deployments/latency", verbose_name=_("Duration"), attrs=NUMBER)
    samples = tables.Column(verbose_name=_("Samples"), attrs=NUMBER)
    label = cell("deployments/logged_label", verbose_name=_("First prediction"), attrs=TEXT)
    token = tables.Column(accessor="token__name", verbose_name=_("Token"), attrs=TEXT, default="–")
    request_id = tables.Column(verbose_name=_("Request id"), attrs=MAIN)

    class Meta:
        order_by = "-at"
