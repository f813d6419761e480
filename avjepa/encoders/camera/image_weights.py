"""Hugging Face image backbones, from a configuration or strictly from a local folder; never from the network."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avjepa.bundle.weights import first_differences
from avjepa.errors import UserError

CLASSIFIER_TENSORS = ("classifier.", "layernorm.", "layer_norm.")
"""Tensors that a classification checkpoint has and a backbone does not: the linear classifier, and the norm of the
pooled features before it (ConvNeXtV2, Swin; DINOv3's ConvNeXt). They alone may be left over when weights are loaded."""

OUTPUT_NORMS = "hidden_states_norms."
"""Norms that ``AutoBackbone`` puts on the outputs of ConvNeXtV2 and Swin. No classification checkpoint has them: they
may be missing, all together, and then start as identities."""


_BOOKKEEPING = (
    "architectures", "dtype", "id2label", "label2id", "model_type", "out_features", "out_indices", "stage_names",
    "transformers_version", "_name_or_path",
)  # fmt: skip


def backbone_config(
    architecture: str, overrides: Mapping[str, Any], out_indices: tuple[int, ...], weights: str | None
) -> Any:
    """The transformers configuration of a backbone.

    Args:
        architecture: a ``model_type`` of transformers.
        overrides: entries to change; each must exist.
        out_indices: stages whose features are wanted, ascending.
        weights: folder whose ``config.json`` the overrides change; without it they change the family's defaults.

    Raises:
        UserError: ``config.json`` is missing, is not one, or of another architecture; an override or stage does not
            exist.
    """
    from transformers import CONFIG_MAPPING

    config_class = CONFIG_MAPPING[architecture]
    stored: dict[str, Any] = {}
    if weights is not None:
        path = Path(weights) / "config.json"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{path}: no such file; a folder of weights holds config.json and model.safetensors"
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as JSON ({error}); download it again") from None
        if not isinstance(stored, dict) or stored.get("model_type") != architecture:
            found = stored.get("model_type") if isinstance(stored, dict) else None
            raise UserError(f"{path}: model_type is {found}, not {architecture}; name the architecture of the weights")
    known = config_class().to_dict()
    for name in overrides:
        if name not in known or name in _BOOKKEEPING:
            raise UserError(f"backbone.config: {architecture} has no entry {name}; remove it or correct its name")
    if not out_indices or list(out_indices) != sorted(set(out_indices)) or out_indices[0] < 1:
        raise UserError(f"backbone.out_indices: {list(out_indices)} must be ascending stage numbers from 1 on")
    entries = {name: value for name, value in stored.items() if name not in _BOOKKEEPING}
    try:
        return config_class(**{**entries, **overrides, "out_indices": list(out_indices)})
    except (ValueError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"backbone: {architecture} does not take this configuration ({reason}); correct it") from None


def changed_entries(config: Any) -> dict[str, Any]:
    """The entries of a configuration that differ from its family's defaults and shape the backbone."""
    defaults = type(config)().to_dict()
    return {
        name: value
        for name, value in config.to_dict().items()
        if name in defaults and name not in _BOOKKEEPING and value != defaults[name]
    }


def build_backbone(config: Any, weights: str | None) -> nn.Module:
    """``AutoBackbone`` of a configuration, with random weights or those of ``weights/model.safetensors``.

    Names of tensors are translated by transformers, so checkpoints of its older versions load. Apart from
    ``CLASSIFIER_TENSORS`` and ``OUTPUT_NORMS``, every tensor must fit.

    Raises:
        UserError: the file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    from transformers import AutoBackbone
    from transformers.utils import logging

    try:
        if weights is None:
            backbone: nn.Module = AutoBackbone.from_config(config)
            return backbone
        with torch.device("meta"):
            backbone_class = type(AutoBackbone.from_config(config))
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"backbone.config: no {config.model_type} can be built from it ({reason}); correct it"
        ) from None

    path = Path(weights) / "model.safetensors"
    if not path.is_file():
        raise UserError(f"{path}: no such file; a folder of weights holds config.json and model.safetensors")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        # The class itself: AutoBackbone.from_pretrained asks the hub first, even about a local folder.
        backbone, report = backbone_class.from_pretrained(
            str(weights),
            config=config,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported, and refused below
            dtype="float32",
        )
    except Exception as error:  # transformers and safetensors raise many kinds
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{path}: cannot be loaded ({reason}); download it again") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    _refuse_differences(path, backbone, report)
    trainable: nn.Module = backbone.train()
    return trainable


def source_of_folder(weights: str) -> str:
    """The weights of a folder in words, for whoever asks later where a network comes from."""
    path = Path(weights) / "model.safetensors"
    with path.open("rb") as file:
        return f"{path}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def _refuse_differences(path: Path, backbone: nn.Module, report: Mapping[str, Any]) -> None:
    norms = {name for name in backbone.state_dict() if name.startswith(OUTPUT_NORMS)}
    missing = set(report["missing_keys"])
    if norms <= missing:
        missing -= norms
    prefix = f"{backbone.base_model_prefix}."
    unexpected = {
        name for name in report["unexpected_keys"] if not name.removeprefix(prefix).startswith(CLASSIFIER_TENSORS)
    }
    misshapen = {
        f"{name} {tuple(found)} instead of {tuple(wanted)}" for name, found, wanted in report["mismatched_keys"]
    }
    if differences := first_differences(sorted(missing), sorted(unexpected), sorted(misshapen)):
        raise UserError(f"{path}: {differences}; use weights of the architecture that config describes")
