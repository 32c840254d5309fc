"""Adversarial steps (FGM; Miyato et al. 2017, ICLR): the loss on inputs that are moved against the model is added."""

from torch import Tensor


def adversarial_step(gradient: Tensor, epsilon: float) -> Tensor:
    """The perturbation that raises the loss most: epsilon * g / ||g||, the norm over each sample (eq. 5).

    gradient [batch, ...] of the encoder's inputs -> the same shape; zero where the gradient is.
    """
    norm = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
    step: Tensor = epsilon * gradient / norm.view(-1, *[1] * (gradient.dim() - 1))
    return step
