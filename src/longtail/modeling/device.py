"""Where and in which precision torch computes."""

import contextlib
import ctypes

import torch

from longtail.contracts.errors import UserError


def choose_device(device: str) -> torch.device:
    """``auto`` takes CUDA where there is one; asking for CUDA where there is none is an error."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("settings: device is cuda, but torch sees no CUDA device here; take device auto or cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """What products run in: ``auto`` takes bf16 where the hardware multiplies it itself (else it is slower than fp32).

    Raises:
        UserError: fp16 is asked for on a CPU.
    """
    if precision == "fp16":
        if device.type != "cuda":
            raise UserError("settings: precision is fp16, which needs a CUDA device; take precision auto, bf16 or fp32")
        return torch.float16
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and _has_bf16(device)) else torch.float32


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def keep_freed_memory() -> None:
    """Keep freed blocks in the process (glibc only).

    Full-softmax batches free and take back blocks of some 100 MB at every step; giving them to the system each time costs
    half of the run in page faults.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        m_trim_threshold, m_mmap_max = -1, -4
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
