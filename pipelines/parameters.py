"""The pipeline's stages and parameters, without importing kfp."""

from longtail.contracts.errors import UserError
from longtail.pipelines.run_settings import RunSettings
from longtail.registry.champion import REGISTRY

STAGES = ("fingerprint", "preprocess", "finetune", "distill", "evaluate", "refresh", "deploy", "campaign")
NEVER_CACHED = ("fingerprint", "campaign", "deploy")  # without a task of their own these were not wanted
INPUTS = ("interactions", "items", "users", "champion", "incumbent")  # that name what is read

PLACEHOLDER = "{{$"


def arguments(
    interactions: str | None,
    items: str,
    users: str | None,
    settings: RunSettings,
    champion: str | None = None,
    checkpoints: str | None = None,
    incumbent: str | None = None,
) -> dict[str, str | int]:
    """The pipeline's parameters; what is absent is "", since kfp has no optional text.

    Raises:
        UserError: one of them holds what kfp takes for a placeholder.
    """
    given: dict[str, str | int] = {
        "interactions": interactions or "",
        "items": items,
        "users": users or "",
        **{f"{stage}_settings": getattr(settings, stage).canonical() for stage in STAGES if stage != "fingerprint"},
        "campaign_asked": settings.campaign.asked,
        "seed": settings.seed,
        "champion": champion or "",
        "checkpoints": checkpoints or "",
        "incumbent": incumbent or "",
    }
    for name, value in given.items():
        refuse_placeholder(name, str(value))
    return given


def champion_of(given: str | None, settings: RunSettings) -> str | None:
    """Who the student is compared with: whom the caller names, else the champion that deploy would replace."""
    uri = settings.deploy.registry_uri
    return given or (f"{REGISTRY}{uri}" if uri else None)


def refuse_placeholder(name: str, value: str) -> None:
    """Refuse a text that kfp would replace by something else, without a word.

    Raises:
        UserError: naming the parameter.
    """
    if PLACEHOLDER in value:
        raise UserError(
            f"{name}: {value[:200]!r} holds {PLACEHOLDER!r}, which Kubeflow Pipelines takes for a placeholder of its own; "
            "rename the folder, file or column"
        )
