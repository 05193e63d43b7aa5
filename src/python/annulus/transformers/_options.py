"""What the calls of a model have in common."""

import dataclasses
from typing import Any

from annulus import _core


@dataclasses.dataclass(frozen=True)
class Options:
    """As of annulus.torch.Context, beside the sequence."""

    comm: _core.Communicator
    logit_scale: str
    sharding: str
    schedule: str
    backend: str
    threads: int
    gradients: str
    """whether those of ranks are to be summed or averaged, sum or mean"""

    @property
    def replaces_scaling(self) -> bool:
        """Whether the logit scale has a base of its own, in place of the model's scaling."""
        return "base=rsqrt_d" not in self.spelled_out

    @property
    def spelled_out(self) -> str:
        """The logit scale with all its keys."""
        return str(_core.Problem(1, logit_scale=self.logit_scale).logit_scale)

    @property
    def engine(self) -> dict[str, Any]:
        """What computes."""
        return {"backend": self.backend, "threads": self.threads}
