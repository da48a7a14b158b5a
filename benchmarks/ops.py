"""All operations, by name."""

from .forward_ops import FORWARD
from .gradient_ops import GRADIENTS
from .loss_ops import LOSSES

__all__ = ["FORWARD", "GRADIENTS", "LOSSES", "OPS"]

OPS = FORWARD | GRADIENTS | LOSSES
