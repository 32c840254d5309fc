"""Which champion a published bundle may replace: it must have passed, and must have been compared with exactly that one."""

from longtail.contracts.decision import failures, measured_model
from longtail.contracts.errors import UserError
from longtail.registry.interface import Registry, Version

OVERRIDE = 'or give --override "why", which the history keeps'


def may_replace(registry: Registry, version: Version, override: str | None = None) -> Version | None:
    """The champion now, which ``version`` may replace; None where there is none yet.

    The champion itself may be rolled out again, and so may a bundle that was refreshed from the same measured one.

    Args:
        override: why it may be promoted whatever the Decision says.

    Raises:
        UserError: nothing says that it may be served, its gate did not pass, or it was compared with another champion.
    """
    champion = registry.champion()
    if override is not None or (champion is not None and champion.id == version.id):
        return champion
    decision = registry.decision(version)
    if decision is None:
        raise UserError(
            f"{registry.uri}: nothing says that version {version.id} may be served; publish it with its evaluation (longtail "
            f"deploy), {OVERRIDE}"
        )
    if not decision.passed:
        raise UserError(
            f"{registry.uri}: the gate did not pass for version {version.id}, so it may not be served, {OVERRIDE}. "
            f"{failures(decision)}"
        )
    compared = decision.champion.version if decision.champion else None
    if champion is None or champion.id == compared or _same_model(registry, champion, version):
        return champion
    raise UserError(
        f"{registry.uri}: the champion is {champion.id} now, and version {version.id} was compared with {compared or 'none'}; "
        f"evaluate it again with --champion registry:{registry.uri} (submit and schedule take the champion of "
        f"deploy.registry_uri by themselves), {OVERRIDE}"
    )


def _same_model(registry: Registry, one: Version, other: Version) -> bool:
    return measured_model(registry.manifest(one)) == measured_model(registry.manifest(other))
