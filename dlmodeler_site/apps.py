from django.apps import AppConfig
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dlmodeler_site import sentences


class SiteConfig(AppConfig):
    name = "dlmodeler_site"
    verbose_name = _("Platform")

    def ready(self) -> None:
        from dlmodeler_site import local_cache, s3_cache
        from dlmodeler_site.registry import register_duty
        from dlmodeler_site.storage import tidy_workspace
        from dlmodeler_site.work.reaper import reap
        from dlmodeler_site.work.runner import oldest_run

        sentences.translate_by(gettext)
        register_duty("reap", every_s=2, run=reap)
        register_duty("cache", every_s=600, run=local_cache.trim)
        register_duty("workspace", every_s=86400, run=tidy_workspace)
        local_cache.register_kind(s3_cache.CachedFiles(oldest_run))
        local_cache.register_kind(s3_cache.CachedTrees(oldest_run))
