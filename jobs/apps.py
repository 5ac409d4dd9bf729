from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = _("Jobs")

    def ready(self) -> None:
        from dlmodeler_site.registry import register_duty
        from jobs import pixel_cache, usage

        usage.register()
        register_duty("pixel cache", every_s=600, run=pixel_cache.trim)
