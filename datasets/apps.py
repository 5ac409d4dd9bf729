from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasetsConfig(AppConfig):
    name = "datasets"
    verbose_name = _("Datasets")

    def ready(self) -> None:
        from datasets import incoming, leftovers, purge, resumable, usage
        from dlmodeler_site import registry

        registry.register_dependants(usage.running_work)
        registry.register_contents(purge.purge_in_project)
        registry.register_counter("data", usage.count_data)
        registry.register_counter("bytes", usage.count_bytes)
        registry.register_counter("trash_bytes", usage.count_trash_bytes)
        registry.register_duty("incoming", every_s=600, run=incoming.sweep)
        registry.register_duty("leftovers", every_s=600, run=leftovers.sweep)
        registry.register_duty("uploads", every_s=600, run=resumable.sweep)
        registry.register_duty("trash", every_s=10, run=purge.purge)
