from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = _("Jobs")

    def ready(self) -> None:
        from dlmodeler_site.local_cache import register_kind
        from jobs import pixel_cache, usage

        usage.register()
        register_kind(pixel_cache.Pixels())
