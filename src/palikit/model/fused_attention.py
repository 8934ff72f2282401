"""Soft-capped attention in one kernel that never writes a score down: for prefill on CUDA.

FlexAttention, compiled when it is first wanted and once for all lengths, so that a request of
another length waits for no compiler; PyTorch keeps the result on disk for the next process. Where
compiling fails, for want of Triton or of a kernel for this device, `attention` goes on without.

Axes: B batch, Q queries, S keys, N query heads, K key/value heads, H head size.
"""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor, str, str], Tensor]
"""See `fused_attention`."""

MIN_SCORES = 2**23
"""Scores of a call, over all heads, from which on a kernel of its own pays for its compilation.

One prompt at 448 px has more, one at 224 px fewer: 5 MB that stay in the cache of a GPU.
"""


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, limits: Tensor, scale: str, softcap: str
) -> Tensor:
    """As `attention_reference`; fused only where it is compiled.

    The numbers come as text, which the compiler takes for constants: floats it would make
    arguments of the kernel, which has no place for them. "" is no cap.
    """
    from torch.nn.attention.flex_attention import flex_attention

    cap = float(softcap) if softcap else None

    def capped_and_masked(
        score: Tensor, b: Tensor, _head: Tensor, query: Tensor, key: Tensor
    ) -> Tensor:
        if cap is not None:
            score = cap * torch.tanh(score / cap)
        return torch.where(key < limits[b, query], score, -torch.inf)

    is_grouped = q.shape[1] != k.shape[1]
    out = flex_attention(q, k, v, capped_and_masked, scale=float(scale), enable_gqa=is_grouped)
    assert isinstance(out, Tensor)  # noqa: S101 - the other kind of output has to be asked for
    return out


def compiled(kernel: Kernel) -> Kernel:
    """One for all lengths, with no compilation a length."""
    made: Kernel = torch.compile(kernel, dynamic=True, fullgraph=True)
    return made


class FusedAttention:
    """`fused_attention` where it is of use and can be had.

    Args:
        compiler: makes a kernel of the function.
    """

    def __init__(self, compiler: Callable[[Kernel], Kernel] = compiled) -> None:
        self._compiler = compiler
        self._kernel: Kernel | None = None
        self.is_off = False

    def suits(self, q: Tensor, k: Tensor) -> bool:
        """Whether it is worth its compilation: large, on CUDA, in half precision, in inference.

        float32 is for comparing, and stays with products of full precision.
        """
        num_scores = q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2]
        return (
            not self.is_off
            and num_scores >= MIN_SCORES
            and q.is_cuda
            and q.dtype in (torch.bfloat16, torch.float16)
            and torch.is_inference_mode_enabled()
        )

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        limits: Tensor | None,
        scale: float,
        softcap: float | None,
    ) -> Tensor | None:
        """As `attention_reference`; None where it cannot be had, now and from now on."""
        if limits is None:  # one kernel more to start, one kernel fewer to compile
            limits = q.new_full((q.shape[0], q.shape[2]), k.shape[2], dtype=torch.int64)
        try:
            kernel = self._kernel = self._kernel or self._compiler(fused_attention)
            return kernel(q, k, v, limits, str(scale), str(softcap or ""))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers, drivers and linkers each raise their own
            self.is_off = True
            reason = str(error).partition("\n")[0] or type(error).__name__
            warnings.warn(
                f"attention over long prompts cannot be compiled here ({reason}): it goes block "
                "by block, which is slower",
                RuntimeWarning,
                stacklevel=2,
            )
            return None


FUSED = FusedAttention()
"""The one of this process: what has been compiled serves every model."""
