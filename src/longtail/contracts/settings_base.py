"""The base of all settings."""

import json

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of every stage's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def canonical(self) -> str:
        """JSON text with sorted keys: equal settings give equal text, and so equal cache keys."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
