"""The target-time rule: nothing after the split may have reached training or statistics."""

import itertools

import numpy as np

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split


def check_target_time(prepared: PreparedDataset, digests: dict[str, str]) -> str:
    """Check order, statistics and what the models were trained on; returns what was checked, as a sentence.

    digests: name of a model -> the ``train_digest`` that it recorded.

    Raises:
        UserError: naming what saw too much.
    """
    where = prepared.artifact.path
    same_user = prepared.user_codes[1:] == prepared.user_codes[:-1]
    for name, values in (("split", prepared.splits), ("timestamp", prepared.timestamps)):
        falling = np.flatnonzero(same_user & (values[1:] < values[:-1]))
        if len(falling):
            user = prepared.user_ids[prepared.user_codes[falling[0]]]
            raise UserError(f"{where}: the {name} of user {user!r} falls within the history; run preprocess again")
    if prepared.facts["protocol"].startswith("global_time"):
        order = [prepared.timestamps[prepared.splits == split] for split in Split]
        for earlier, later in itertools.pairwise(order):
            if len(earlier) and len(later) and earlier.max() >= later.min():
                raise UserError(f"{where}: an event lies on the wrong side of a cut-off; run preprocess again")
    counts = np.bincount(prepared.item_codes[prepared.splits == Split.TRAIN], minlength=len(prepared.item_ids))
    if not np.array_equal(counts, prepared.train_counts):
        raise UserError(f"{where}: item counts hold events from after the split; run preprocess again")
    expected = prepared.train_digest()
    for name, digest in digests.items():
        if digest != expected:
            raise UserError(
                f"the {name} was trained on other events than the training split of {where}; its figures could not be "
                "trusted, so run finetune and distill on this data"
            )
    return (
        "Every user's events are in order of split and time, item counts hold training events only, and "
        f"{' and '.join(digests)} were trained on exactly the training split (sha256 {expected[:12]})."
    )
