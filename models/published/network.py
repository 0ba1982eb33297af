"""A published network: one backbone, five heads, probabilities out."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from models.published.facts import TASKS, check_input


class PublishedNetwork(nn.Module):
    """Backbone and one head per task, with the key layout of the published checkpoints.

    State-dict keys are `backbone.*` and `decoders.{task}.*`: a published state dict (without `module.`) loads strictly.
    """

    def __init__(self, name: str, backbone: nn.Module, head: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.name = name
        self.backbone = backbone
        self.decoders = nn.ModuleDict({task: head() for task in TASKS})

    def logits(self, x: Tensor) -> dict[str, Tensor]:
        """Before the sigmoid: task -> (B, 1, H, W), at the size of the input.

        Args:
            x: (B, 6, H, W) float32, prepared as in `models.published.preparation`; no NaN.

        Raises:
            InputError: Six channels are wanted, and a size this network takes.
        """
        check_input(self.name, tuple(x.shape))
        features = self.backbone(x)
        size = (x.shape[2], x.shape[3])
        return {task: resize(head(features), size) for task, head in self.decoders.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Probabilities: task -> (B, 1, H, W) in 0..1; `sun_mask` is that of being sunlit. Input as in `logits`."""
        return {task: logit.sigmoid() for task, logit in self.logits(x).items()}


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with corners aligned, as all published networks bring their logits to the size of the input."""
    if tuple(maps.shape[-2:]) == size:
        return maps
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=True)
