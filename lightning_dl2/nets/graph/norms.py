"""Normalisations by name, of rows that may be few."""

from torch import Tensor, nn
from torch.nn import functional as F

NORMS = ("none", "batch", "layer")


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` of rows [R, C] that in training takes R < 2, where the batch has no variance.

    Such a batch is normalised by the running statistics, and leaves them as they are. A graph of one node or
    without edges is an ordinary thing; torch raises an error there.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] < 2:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def build_norm(norm: str, feats: int) -> nn.Module:
    """`batch` (Ioffe & Szegedy 2015), `layer` (Ba, Kiros & Hinton 2016) or `none`, of rows [R, feats].

    Raises:
        ValueError: another name.
    """
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; it must be one of {', '.join(NORMS)}")
    return {"none": nn.Identity, "batch": BatchNorm, "layer": nn.LayerNorm}[norm](feats)
