"""Full fine-tuning of the adapted layers (Howard & Ruder 2018, ACL): all of their weights are trained."""

from longtail.modeling.language_model import UpperLayers


def train_whole_layers(upper: UpperLayers) -> None:
    """Let all weights of the adapted layers be trained; embeddings and lower layers stay as they are."""
    for layer in upper.layers:
        layer.requires_grad_(True)
