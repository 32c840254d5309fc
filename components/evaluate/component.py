"""The KFP component of stage 4."""

from kfp import dsl

from longtail.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    prepared: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    bundle: dsl.Input[dsl.Model],
    settings: str,
    seed: int,
    champion: str,
    incumbent: str,
    incumbent_digest: str,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> bool:
    """Measure student, teacher and baselines; returns the gate. champion: the bundle that fingerprint found, "" = none.

    incumbent: another system's lists, "" = none. Their digest is not read: it is what changed lists change in the cache key.
    The gate is the unnamed output, since kfp.local takes a named one in a condition as False.
    """
    import json
    from pathlib import Path

    from longtail.components.evaluate.evaluate import evaluate as stage
    from longtail.components.evaluate.settings import EvaluateSettings
    from longtail.components.evaluate.systems import Rivals
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        chosen = from_json(EvaluateSettings, settings)
        rivals = Rivals(champion or None, incumbent or None)
        passed = stage(prepared.path, teacher.path, bundle.path, evaluation.path, chosen, seed, rivals)
    student = json.loads((Path(evaluation.path) / "evaluation.json").read_text())["systems"]["student"]
    for segment in ("all", "cold", "tail", "torso", "head"):
        if student[segment]["users"]:
            metrics.log_metric(f"student_{segment}_ndcg_at_10", student[segment]["ndcg@10"])
    # kfp.local takes a task whose artifact has no file as not cached
    Path(metrics.path).write_text(json.dumps(metrics.metadata))
    return passed
