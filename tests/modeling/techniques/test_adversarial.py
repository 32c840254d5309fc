import torch
from helpers_ring import make_model
from test_objective import loss_of, make_batch

from longtail.modeling.objective import Objective
from longtail.modeling.techniques.adversarial import adversarial_step
from longtail.modeling.training_settings import TrainingSettings


def test_an_adversarial_step_has_its_length_along_the_gradient_of_each_sample() -> None:
    gradient = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    expected = torch.tensor([[[0.3, 0.0], [0.0, 0.4]], [[0.0, 0.0], [0.0, 0.0]]])
    assert torch.allclose(adversarial_step(gradient, 0.5), expected)


def test_an_adversarial_step_raises_the_loss() -> None:
    objective = Objective(make_model(), TrainingSettings(), None).eval()
    loss, inputs = objective(make_batch())
    inputs.retain_grad()
    loss.backward()
    assert inputs.grad is not None
    worse = loss_of(make_batch(), adversarial_step(inputs.grad, 0.05))
    better = loss_of(make_batch(), -adversarial_step(inputs.grad, 0.05))
    assert better < loss.item() < worse
