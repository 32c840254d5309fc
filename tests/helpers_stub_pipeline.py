"""A pipeline of the real one's shape whose stages take no time: to test how runs are run.

What a stage should do is said by its settings slice, in fields that it really has.
"""

from typing import NamedTuple

from kfp import dsl

IMAGE = "longtail-train:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fingerprint(interactions: str, items: str, users: str) -> str:
    from longtail.components.preprocess.fingerprint import fingerprint as digest_of

    return digest_of([uri for uri in (interactions, items, users) if uri])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def preprocess(interactions: str, digest: str, settings: str, prepared: dsl.Output[dsl.Dataset]) -> None:
    from pathlib import Path

    from longtail.contracts.errors import UserError
    from longtail.system.channel import reported

    with reported():
        text = Path(interactions).read_text()
        if "bad" in text:
            raise UserError(f"{interactions}: row 1 is bad; mend it")
    folder = Path(prepared.path)
    folder.mkdir(parents=True)
    (folder / "events.txt").write_text(text)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finetune(
    prepared: dsl.Input[dsl.Dataset], settings: str, seed: int, checkpoints: str, teacher: dsl.Output[dsl.Model]
) -> None:
    import logging
    import os
    import signal
    from pathlib import Path

    logging.info("learning from %s", prepared.path)
    text = (Path(prepared.path) / "events.txt").read_text()
    if "too big" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "slow" in text:
        import time

        Path(checkpoints).mkdir(exist_ok=True)
        (Path(checkpoints) / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    if "bug" in text:
        raise RuntimeError("a fault of ours")
    folder = Path(teacher.path)
    folder.mkdir(parents=True)
    (folder / "learnt.txt").write_text(f"{text} seed {seed}")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def distill(
    prepared: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    settings: str,
    seed: int,
    bundle: dsl.Output[dsl.Model],
) -> None:
    import shutil

    shutil.copytree(teacher.path, bundle.path)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(bundle: dsl.Input[dsl.Model], settings: str, champion: str, evaluation: dsl.Output[dsl.Artifact]) -> bool:
    import json
    from pathlib import Path

    from helpers_evaluation import decision
    from helpers_evaluation import evaluation as figures

    from longtail.contracts.decision import write_decision

    text = (Path(bundle.path) / "learnt.txt").read_text()
    passed = "worse" not in text
    folder = Path(evaluation.path)
    folder.mkdir(parents=True)
    write_decision(decision(passed), folder)
    (folder / "evaluation.json").write_text(json.dumps(figures(passed)))
    for name in ("per_user.parquet", "report.html"):
        (folder / name).write_text(f"{text}, compared with {champion}" if champion else text)
    return passed


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy(bundle: dsl.Input[dsl.Model], settings: str, service: dsl.Output[dsl.Artifact]) -> None:
    from pathlib import Path

    folder = Path(service.path)
    folder.mkdir(parents=True)
    (folder / "inferenceservice.yaml").write_text((Path(bundle.path) / "learnt.txt").read_text())


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def refresh(bundle: dsl.Input[dsl.Model], passed: bool, settings: str, served: dsl.Output[dsl.Model]) -> None:
    import shutil
    from pathlib import Path

    shutil.copytree(bundle.path, served.path)
    if passed:
        (Path(served.path) / "refreshed.txt").write_text("all events")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def campaign(bundle: dsl.Input[dsl.Model], settings: str, seed: int, planned: dsl.Output[dsl.Artifact]) -> None:
    from pathlib import Path

    from longtail.contracts.artifacts import CAMPAIGN, write_artifact

    with write_artifact(planned.path, CAMPAIGN, {"settings": settings, "seed": seed}) as folder:
        (folder / "contacts.csv").write_text((Path(bundle.path) / "learnt.txt").read_text())


class Results(NamedTuple):
    prepared: dsl.Dataset
    teacher: dsl.Model
    measured: dsl.Model
    bundle: dsl.Model
    evaluation: dsl.Artifact


def build(image):
    @dsl.pipeline(name="stub")
    def stub(
        interactions: str,
        items: str,
        users: str,
        preprocess_settings: str,
        finetune_settings: str,
        distill_settings: str,
        evaluate_settings: str,
        refresh_settings: str,
        campaign_settings: str,
        deploy_settings: str,
        campaign_asked: bool,
        seed: int,
        champion: str,
        checkpoints: str,
        incumbent: str,
    ) -> Results:
        def here(task):
            return task.set_container_image(image)

        digest = here(fingerprint(interactions=interactions, items=items, users=users)).set_caching_options(False)
        prepared = here(
            preprocess(interactions=interactions, digest=digest.output, settings=preprocess_settings)
        ).output
        teacher = here(
            finetune(prepared=prepared, settings=finetune_settings, seed=seed, checkpoints=checkpoints)
        ).output
        measured = here(distill(prepared=prepared, teacher=teacher, settings=distill_settings, seed=seed)).output
        evaluated = here(evaluate(bundle=measured, settings=evaluate_settings, champion=champion))
        passed = evaluated.outputs["Output"]
        served = here(refresh(bundle=measured, passed=passed, settings=refresh_settings)).output
        with dsl.If(evaluated.outputs["Output"] == True):  # noqa: E712
            here(deploy(bundle=served, settings=deploy_settings)).set_caching_options(False)
            with dsl.If(campaign_asked == True):  # noqa: E712
                here(campaign(bundle=served, settings=campaign_settings, seed=seed)).set_caching_options(False)
        return Results(prepared, teacher, measured, served, evaluated.outputs["evaluation"])

    return stub
