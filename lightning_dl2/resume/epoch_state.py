"""Keep in a checkpoint what Lightning's leaves out: each rank's means since the epoch began, metrics and gradients."""

from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.trainer.connectors.logger_connector.result import _Metadata, _ResultMetric, _Sync
from torch import Tensor
from torchmetrics import Metric

SAVED = [  # attributes of _Metadata with plain values
    *("fx", "name", "prog_bar", "logger", "on_step", "on_epoch"),
    *("enable_graph", "add_dataloader_idx", "dataloader_idx", "metric_attribute"),
]


def epoch_state(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return what this rank has gathered since the epoch began; empty where it has gathered nothing.

    Returns:
        `callback_metrics`, that schedules and callbacks monitor; `results`, of `self.log(on_epoch=True)` in training
        hooks; `metrics`, the states of the module's torchmetrics; `gradients`, with manual optimisation.
    """
    state = {
        "callback_metrics": {key: _plain(value) for key, value in trainer._logger_connector._callback_metrics.items()},
        "results": _results(trainer),
        "metrics": _metric_states(trainer, module),
        "gradients": _gradients(module),
    }
    return {key: value for key, value in state.items() if value}


def restore_epoch_state(trainer: Trainer, module: LightningModule, state: dict[str, Any], *, within: bool) -> None:
    """Restore what `epoch_state` returned.

    Args:
        within: whether training resumes within an epoch.
    """
    connector, device = trainer._logger_connector, module.device
    found = {key: value.to(device) for key, value in state.get("callback_metrics", {}).items()}
    connector._callback_metrics.update(found)
    metrics = dict(_metrics_of(module))
    for name, values in state.get("metrics", {}).items():
        if name in metrics:
            _restore_metric(metrics[name], values)
    for key, saved in state.get("results", {}).items():
        trainer.fit_loop.epoch_loop._results[key] = _restored_result(trainer, module, saved)
    if within:
        connector._first_loop_iter = False  # True would reset the means at the first self.log of a hook
    parameters = dict(module.named_parameters())
    for name, gradient in state.get("gradients", {}).items():
        parameters[name].grad = gradient.to(parameters[name].device)


def all_ranks(state: dict[str, Any], world_size: int) -> list[dict[str, Any]]:
    """Gather a state of each rank, on every rank; all ranks call this together."""
    if world_size == 1 or not dist.is_initialized():
        return [state]
    states: list[Any] = [None] * world_size
    dist.all_gather_object(states, state)
    return states


def _plain(value: Any) -> Any:
    """Copy tensors to the CPU, also those in lists."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _gradients(module: LightningModule) -> dict[str, Tensor]:
    """Return the gradients of a module that steps by itself, which may accumulate over batches."""
    if module.automatic_optimization:
        return {}
    named = module.named_parameters()
    return {name: _plain(parameter.grad) for name, parameter in named if parameter.grad is not None}


def _metrics_of(module: LightningModule) -> list[tuple[str, Metric]]:
    return [(name, part) for name, part in module.named_modules() if isinstance(part, Metric)]


def _metric_states(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return the states of the metrics that go on: Lightning resets those of a validation after its last hook."""
    ending = {id(result.value) for result in trainer.fit_loop.epoch_loop.val_loop._results.values()}
    named = _metrics_of(module)
    return {name: _metric_state(each) for name, each in named if each._update_count and id(each) not in ending}


def _metric_state(metric: Metric) -> dict[str, Any]:
    values = {name: _plain(getattr(metric, name)) for name in metric._defaults}
    return {"updates": metric._update_count, "values": values}


def _restore_metric(metric: Metric, saved: dict[str, Any]) -> None:
    def placed(value: Any) -> Any:
        return [placed(item) for item in value] if isinstance(value, list) else value.to(metric.device)

    for name, value in saved["values"].items():
        setattr(metric, name, placed(value))
    metric._update_count, metric._computed = saved["updates"], None


def _results(trainer: Trainer) -> dict[str, Any]:
    found = {}
    for key, result in trainer.fit_loop.epoch_loop._results.items():
        meta = result.meta
        if not meta.on_epoch or result.has_reset or meta.sync._group is not None:
            continue
        saved: dict[str, Any] = {name: getattr(meta, name) for name in SAVED}
        saved |= {"reduce_fx": meta.reduce_fx.__name__, "updates": result._update_count if result.is_tensor else 1}
        saved |= {"sync": {"should": meta.sync.should, "rank_zero_only": meta.sync.rank_zero_only}}
        if result.is_tensor:
            saved["value"] = _plain(result.value)
            if meta.is_mean_reduction:
                saved["batch_size"] = _plain(torch.as_tensor(result.cumulated_batch_size))
        found[key] = saved
    return found


def _restored_result(trainer: Trainer, module: LightningModule, saved: dict[str, Any]) -> _ResultMetric:
    meta = _Metadata(**{name: saved[name] for name in SAVED}, reduce_fx=getattr(torch, saved["reduce_fx"]))
    sync = saved["sync"]
    meta.sync = _Sync(
        fn=trainer.strategy.reduce, _should=sync["should"], rank_zero_only=sync["rank_zero_only"], _group=None
    )
    result = _ResultMetric(meta, "value" in saved)
    if result.is_tensor:
        result.value = saved["value"].to(module.device)
        if meta.is_mean_reduction:
            result.cumulated_batch_size = saved["batch_size"].to(module.device)
    else:
        assert saved["metric_attribute"]
        result.value = module.get_submodule(saved["metric_attribute"])
    result._update_count, result._computed = saved["updates"], None
    return result
