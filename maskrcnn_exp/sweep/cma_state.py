"""CMA-ES goes on from its state in the storage, a pickle: read here first by a reader that knows nothing else."""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

from optuna.samplers import CmaEsSampler

from maskrcnn_exp.errors import ConfigError

__all__ = ["checking_its_state"]

_STATES: Final = frozenset({"CMA", "CMAwM", "SepCMA"})  # of the package cmaes
_NUMPY: Final = frozenset(
    {("numpy", "dtype"), ("numpy", "ndarray")}
    | {(f"numpy.{core}.multiarray", name) for core in ("_core", "core") for name in ("_reconstruct", "scalar")}
)


def checking_its_state(sampler: type[CmaEsSampler]) -> type[CmaEsSampler]:
    """Return the class with a look at what Optuna is about to unpickle.

    Raises:
        ConfigError: the installed Optuna keeps the state in another way, which cannot be looked at.
    """
    if not hasattr(sampler, "_concat_optimizer_attrs"):
        raise ConfigError("hydra/sweeper/sampler=cmaes: this version of Optuna keeps its state in an unknown way.")
    return type(sampler.__name__, (_Checking, sampler), {"__module__": sampler.__module__})


class _Checking:
    def _concat_optimizer_attrs(self, pieces: dict[str, str]) -> str:
        text: str = super()._concat_optimizer_attrs(pieces)  # type: ignore[misc]
        try:
            _CmaOnly(io.BytesIO(bytes.fromhex(text))).load()
        except Exception as error:  # the pickle machine raises anything at damaged bytes
            raise ConfigError(
                f"the storage holds a state of CMA-ES that CMA-ES did not write ({type(error).__name__}: {error}). "
                "Somebody else wrote into this study: use another storage or study_name."
            ) from error
        return text


class _CmaOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0] == "cmaes" and name in _STATES) or (module, name) in _NUMPY:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")
