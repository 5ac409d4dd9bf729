from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProjectsConfig(AppConfig):
    name = "projects"
    verbose_name = _("Projects")

    def ready(self) -> None:
        from dlmodeler_site.registry import register_duty
        from projects import trash

        register_duty("trash of projects", every_s=10, run=trash.purge)
