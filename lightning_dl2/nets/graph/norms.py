"""Build normalisation layers by name, for rows that may be few."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.graph.own.parts import build_own_norm


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` of rows [R, C] that accepts R < 2 in training, where a batch has no variance.

    Such a batch is normalised by the running statistics, and leaves them as they are. torch raises an error there, but
    a graph may well have one node or no edges.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] < 2:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def build_norm(norm: str, feats: int) -> nn.Module:
    """Build one of NORMS, or the norm at a dotted path, for rows [R, feats].

    Raises:
        ValueError: an unknown `norm`.
    """
    if is_dotted(norm):
        return build_own_norm(norm, feats)
    check_choice("norm", norm, NORMS)
    return NORMS[norm](feats)


# Ioffe & Szegedy 2015; Ba, Kiros & Hinton 2016.
NORMS: dict[str, Callable[[int], nn.Module]] = {"none": nn.Identity, "batch": BatchNorm, "layer": nn.LayerNorm}
