"""What there is to compute on."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dlmodeler_site.errors import UserError
from dlmodeler_site.work.runner import backend
from jobs.models import Instance, InstanceKind


def gpu_count() -> int:
    """GPUs that a training could get."""
    return backend().gpus()


def require(instance: Instance) -> None:
    """Raises UserError (`no_gpu`, `instance_unavailable`) for an instance that this site does not have."""
    if instance.kind not in InstanceKind.values or instance.count < 1:
        raise UserError(
            _("An instance is {kind: cpu or gpu, count: at least 1}; received {kind: %(kind)s, count: %(count)s}.")
            % {"kind": instance.kind, "count": instance.count},
            reason="invalid_instance",
            field="instance",
        )
    if instance.kind == InstanceKind.CPU:
        if instance.count > 1:
            raise UserError(
                _("A CPU instance is all cores of one worker: its count must be 1; received %(count)s.")
                % {"count": instance.count},
                reason="instance_unavailable",
                field="instance",
            )
        return
    there = gpu_count()
    if there == 0:
        raise UserError(
            _("This site has no GPU: %(count)s was asked for. Choose a CPU instance.") % {"count": instance.count},
            reason="no_gpu",
            field="instance",
            details={"gpus": 0},
        )
    if instance.count > there:
        raise UserError(
            ngettext(
                "This site has %(there)s GPU; received %(count)s. Ask for at most %(there)s.",
                "This site has %(there)s GPUs; received %(count)s. Ask for at most %(there)s.",
                there,
            )
            % {"there": there, "count": instance.count},
            reason="no_gpu",
            field="instance",
            details={"gpus": there},
        )
