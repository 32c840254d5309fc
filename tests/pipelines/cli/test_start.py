"""The demo's settings."""


def test_demo_settings_are_valid_and_small():
    from importlib.resources import files

    from longtail.components.finetune.settings import FinetuneSettings
    from longtail.pipelines.run_settings import load_settings

    settings = load_settings(str(files("longtail.pipelines.cli") / "demo.yaml"))
    assert settings.finetune.adaptation.steps < FinetuneSettings().adaptation.steps
    assert settings.finetune.training.dim % settings.finetune.training.heads == 0
