from django.apps import AppConfig
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dlmodeler_site import sentences


class SiteConfig(AppConfig):
    name = "dlmodeler_site"
    verbose_name = _("Platform")

    def ready(self) -> None:
        from dlmodeler_site.registry import register_duty
        from dlmodeler_site.work.reaper import reap

        sentences.translate_by(gettext)
        register_duty("reap", every_s=2, run=reap)
