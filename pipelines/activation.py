"""The pipeline: two tables in, an evaluated and served recommender out.

    fingerprint -> preprocess -> finetune -> distill -> evaluate -> refresh -> (the gate passed?) deploy -> (asked for?) campaign

The fingerprint of the input data is never cached and is part of preprocess' cache key, so new data behind an unchanged
URI does the work again; with it goes the bundle that is the champion today, which is part of
evaluate's key, as the digest of the incumbent's lists is. Deploy acts on the world outside, and a campaign is of
its day, so they are never cached either.
"""

import os
from functools import partial
from typing import NamedTuple

from kfp import compiler, dsl
from kfp.dsl import PipelineTask
from kfp.dsl.graph_component import GraphComponent

from longtail.components.campaign.component import campaign
from longtail.components.deploy.component import deploy
from longtail.components.distill.component import distill
from longtail.components.evaluate.component import evaluate
from longtail.components.finetune.component import finetune
from longtail.components.preprocess.component import fingerprint, preprocess
from longtail.components.refresh.component import refresh
from longtail.pipelines.resources import CHECKPOINTS, Resources, apply, mount_claims, use_secrets
from longtail.pipelines.run_settings import RunSettings

PIPELINE = "longtail-activation"


class Results(NamedTuple):
    """What the pipeline hands out beside the service. bundle: what is served; measured: what evaluate saw."""

    prepared: dsl.Dataset
    teacher: dsl.Model
    measured: dsl.Model
    bundle: dsl.Model
    evaluation: dsl.Artifact


def build_pipeline(resources: Resources | None = None, image: str | None = None) -> GraphComponent:
    """The pipeline. On its tasks go ``resources``, which local runs would ignore, and an ``image`` in place of their own."""
    defaults = RunSettings()
    kept = CHECKPOINTS if resources is not None and resources.have_checkpoint_claims else ""
    ask = partial(_ask, resources, image)
    reached = partial(_reached, resources if kept else None)

    @dsl.pipeline(name=PIPELINE, description="From interaction logs to a served recommender.")
    def activation(
        interactions: str,
        items: str,
        users: str = "",
        preprocess_settings: str = defaults.preprocess.canonical(),
        finetune_settings: str = defaults.finetune.canonical(),
        distill_settings: str = defaults.distill.canonical(),
        evaluate_settings: str = defaults.evaluate.canonical(),
        refresh_settings: str = defaults.refresh.canonical(),
        campaign_settings: str = defaults.campaign.canonical(),
        deploy_settings: str = defaults.deploy.canonical(),
        campaign_asked: bool = defaults.campaign.asked,
        seed: int = defaults.seed,
        champion: str = "",
        checkpoints: str = kept,
        incumbent: str = "",
    ) -> Results:
        tables = {"interactions": interactions, "items": items, "users": users}
        digest = ask("fingerprint", fingerprint(**tables, champion=champion, incumbent=incumbent))
        digest.set_caching_options(False)
        read = ask("preprocess", preprocess(**tables, digest=digest.outputs["digest"], settings=preprocess_settings))
        models = {"prepared": read.outputs["prepared"]}
        folder = reached("finetune", checkpoints)
        taught = ask("finetune", finetune(**models, settings=finetune_settings, seed=seed, checkpoints=folder))
        models["teacher"] = taught.outputs["teacher"]
        folder = reached("distill", checkpoints)
        student = ask("distill", distill(**models, settings=distill_settings, seed=seed, checkpoints=folder))
        models["bundle"] = student.outputs["bundle"]
        rivals = {
            "champion": digest.outputs["bundle"],
            "incumbent": incumbent,
            "incumbent_digest": digest.outputs["lists"],
        }
        judged = ask("evaluate", evaluate(**models, settings=evaluate_settings, seed=seed, **rivals))
        passed, evaluation = judged.outputs["Output"], judged.outputs["evaluation"]
        counted = ask("refresh", refresh(**models, passed=passed, settings=refresh_settings))
        served = counted.outputs["served"]
        # the unnamed output: kfp.local 2.17 finds no named one in a condition, and then silently takes it as False
        with dsl.If(passed == True, name="gate-passed"):  # noqa: E712  (kfp overloads ==)
            service = ask("deploy", deploy(bundle=served, evaluation=evaluation, settings=deploy_settings))
            service.set_caching_options(False)
            with dsl.If(campaign_asked == True, name="campaign-asked"):  # noqa: E712
                given = {"prepared": models["prepared"], "bundle": served}
                planned = ask("campaign", campaign(**given, settings=campaign_settings, seed=seed))
                planned.set_caching_options(False)
                planned.after(service)  # nobody is written to about a bundle that could not be deployed
        return Results(models["prepared"], models["teacher"], models["bundle"], served, evaluation)

    return activation


def _reached(resources: Resources | None, stage: str, checkpoints: str) -> str:
    """The folder for checkpoints, but for a stage whose pod does not mount the claim that the other one's does."""
    return checkpoints if resources is None or getattr(resources, stage).checkpoint_claim else ""


def _ask(resources: Resources | None, image: str | None, name: str, task: PipelineTask) -> PipelineTask:
    """Put what a stage asks for on its task."""
    if image is not None:
        task.set_container_image(image)
    if resources is not None:
        apply(task, getattr(resources, name))
        use_secrets(task, resources.secret_env)
        mount_claims(task, resources.claims)
    return task


def local_pipeline(image: str) -> GraphComponent:
    """The pipeline as the local runner executes it; kfp's cache keys hold the image's name."""
    return build_pipeline(image=image)


def compile_pipeline(path: str | os.PathLike[str], resources: Resources | None = None) -> None:
    """Write the pipeline as YAML for a cluster; the default resources where none are given."""
    compiler.Compiler().compile(build_pipeline(resources or Resources()), package_path=os.fspath(path))
