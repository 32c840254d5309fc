"""Stage 2 as a command, for launchers of several processes: accelerate launch or torchrun -m longtail.components.finetune.

    torchrun --nproc-per-node 4 -m longtail.components.finetune --prepared P --output T --config settings.yaml

Several machines need one file system for ``--output`` and ``--checkpoints``. Two CPU processes are tested; NCCL, several
GPUs and several machines could not be.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ConfigDict

from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.errors import EXIT_CODE, UserError
from longtail.contracts.settings_base import Settings, parse, read_document


class _Read(Settings):
    """What this command reads of a run's settings file; those of other stages are passed over."""

    model_config = ConfigDict(extra="ignore")

    seed: int = 0
    finetune: FinetuneSettings = FinetuneSettings()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m longtail.components.finetune", description=finetune.__doc__)
    parser.add_argument("--prepared", type=Path, required=True, help="folder that preprocess wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.KEY=VALUE", help="one setting")
    parser.add_argument("--checkpoints", type=Path, help="folder from which a killed run resumes")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("longtail").setLevel(logging.INFO)
    try:
        settings = parse(_Read, *read_document(given.config, given.set))
        finetune(given.prepared, given.output, settings.finetune, settings.seed, given.checkpoints)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
