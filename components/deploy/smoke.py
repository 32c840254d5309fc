"""The smoke test: the real model server answers here as was evaluated."""

import logging
import tempfile
from pathlib import Path
from typing import Any

from longtail.components.deploy.local_server import running_server
from longtail.components.deploy.settings import DeploySettings
from longtail.rollout.addresses import at
from longtail.rollout.answers import compare_answers

log = logging.getLogger(__name__)


def local_smoke_test(bundle: str, golden: list[dict[str, Any]], settings: DeploySettings) -> dict[str, Any]:
    """Start the server on ``bundle``, ask it for the evaluated users, and stop it; see ``compare_answers``.

    Raises:
        UserError: a damaged bundle, or answers that differ from the evaluated.
        RuntimeError: the server ended by itself.
    """
    with tempfile.TemporaryDirectory(prefix="longtail-deploy-") as folder:
        log_path = Path(folder) / "server.log"
        try:
            with running_server(bundle, settings.name, settings.startup_seconds, log_path) as server:
                log.info("the model server is ready on %s", server.url)
                smoke = compare_answers(at(server.url), settings.name, golden)
        except Exception:
            if log_path.exists():
                log.error("log of the model server:\n%s", log_path.read_text(errors="replace"))
            raise
    log.info("%d evaluated users were answered as evaluated, over V1 and V2", len(golden))
    return smoke
