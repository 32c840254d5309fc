"""One of the processes of test_parallel.py: trains the ring model and writes its weights.

Arguments: folder, settings as JSON; ``stop_after`` ends the process after so many epochs, as if it were killed.
"""

import contextlib
import json
import sys
from pathlib import Path

WORKER = Path(__file__)
TESTS = WORKER.parent


class KilledError(Exception):
    pass


def main(folder: Path, stop_after: int | None, given: dict[str, object]) -> None:
    import torch
    from helpers_ring import make_data, make_model
    from safetensors.torch import save_file

    from longtail.modeling import training
    from longtail.modeling.parallel import Team
    from longtail.modeling.training_settings import TrainingSettings

    shard = bool(given.pop("shard", False))
    settings = TrainingSettings.model_validate(given)
    torch.set_num_threads(1)
    team = Team(torch.device("cpu"), shard)
    model = make_model(dropout=0.0)
    original, scored = training.validation_ndcg, 0

    def dies(*arguments: object) -> float:
        nonlocal scored
        scored += 1
        if stop_after is not None and scored > stop_after:
            raise KilledError
        return original(*arguments)  # type: ignore[arg-type]

    training.validation_ndcg = dies  # type: ignore[assignment]
    with contextlib.suppress(KilledError):
        training.train(model, make_data(), training.Run("finetune", settings, 0, torch.float32, folder, team))
    save_file(model.state_dict(), folder / f"model-{team.rank}.safetensors")
    team.wait()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    main(Path(sys.argv[1]), arguments.pop("stop_after", None), arguments)
