"""Named parameter groups: every part in two groups, with and without weight decay."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import Parameter
from torchvision.ops import FrozenBatchNorm2d

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.parts import PARTS, Part, part_of
from maskrcnn_exp.optim.lr_policy import LrPolicy

__all__ = ["ParamGroup", "build_groups", "by_part"]

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, FrozenBatchNorm2d)


@dataclass(frozen=True)
class ParamGroup:
    """One optimiser group. Groups keep their names and order whatever the multipliers are."""

    name: str  # part/decay or part/no_decay
    part: Part
    lr: float  # at schedule factor 1
    weight_decay: float
    parameters: list[tuple[str, Parameter]]  # may be empty: a head without norm layers and biases

    @property
    def size(self) -> int:
        """Number of scalars."""
        return sum(parameter.numel() for _, parameter in self.parameters)


def build_groups(model: nn.Module, policy: LrPolicy, weight_decay: float) -> list[ParamGroup]:
    """Sort the trainable parameters into ten groups, part by part; norm layers and biases get no weight decay.

    Raises:
        ConfigError: a part has no trainable parameter but its multiplier was set, or a parameter belongs to no part.
    """
    names_without_decay = _names_without_decay(model)
    sorted_parameters: dict[tuple[Part, bool], list[tuple[str, Parameter]]] = {
        (part, decays): [] for part in PARTS for decays in (True, False)
    }
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        try:
            part = part_of(name)
        except KeyError:
            raise ConfigError(
                f"parameter {name} belongs to none of the parts {', '.join(PARTS)}; its learning rate is undefined."
            ) from None
        sorted_parameters[part, name not in names_without_decay].append((name, parameter))
    _refuse_multipliers_without_parameters(sorted_parameters, policy)
    return [
        ParamGroup(
            name=f"{part}/{'decay' if decays else 'no_decay'}",
            part=part,
            lr=policy.rate(part),
            weight_decay=weight_decay if decays else 0.0,
            parameters=parameters,
        )
        for (part, decays), parameters in sorted_parameters.items()
    ]


def by_part(groups: list[ParamGroup]) -> dict[Part, list[Parameter]]:
    """Return each part's parameters, decayed ones first."""
    return {part: [p for group in groups if group.part == part for _, p in group.parameters] for part in PARTS}


def _names_without_decay(model: nn.Module) -> set[str]:
    names = set()
    for module_name, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            if isinstance(module, _NORMS) or name == "bias":
                names.add(f"{module_name}.{name}")
    return names


def _refuse_multipliers_without_parameters(
    sorted_parameters: dict[tuple[Part, bool], list[tuple[str, Parameter]]], policy: LrPolicy
) -> None:
    for part in PARTS:
        empty = not sorted_parameters[part, True] and not sorted_parameters[part, False]
        if empty and policy.mult[part] not in (0.0, 1.0):
            raise ConfigError(
                f"lr.{part}_mult={policy.mult[part]:g} has no effect: part {part} has no trainable parameter. "
                f"Leave lr.{part}_mult at 1, or let the part learn (model.trainable_stages=-1)."
            )
