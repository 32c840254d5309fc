import pytest
import torch

from longtail.contracts.errors import UserError
from longtail.modeling.device import choose_precision


def test_precision_is_what_the_settings_name() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) is torch.float32
    assert choose_precision("bf16", cpu) is torch.bfloat16
    assert choose_precision("auto", cpu) in (torch.float32, torch.bfloat16)
    assert choose_precision("fp16", torch.device("cuda")) is torch.float16


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(UserError, match="fp16, which needs a CUDA device"):
        choose_precision("fp16", torch.device("cpu"))
