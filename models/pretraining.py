"""Weights that were trained elsewhere: where they lie, how a file is read, how they are poured into a trunk.

Nothing starts at random in silence: what a source cannot fill is an error or stands in the report (`Filled`).
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from torch import Tensor, nn

from models.families import KINDS, PRITHVI, PRITHVI_REPOSITORY, SATLAS, SATLAS_REPOSITORY, SMP
from models.transplant import LEAST, Filled, fill, shown
from ssc.bands import Band
from ssc.errors import AccessError, DataError, InputError

log = logging.getLogger(__name__)

State = dict[str, Tensor]
NESTED: Final = ("state_dict", "model_state_dict", "model", "teacher", "student", "network")
"""Where trainers put the weights inside their checkpoints."""
SUFFIXES: Final = (".safetensors", ".pth", ".pt", ".tar", ".bin", ".ckpt")
FAILURES: Final = (OSError, RuntimeError, ValueError)
"""As which timm, smp, torch and the hub report a download that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Public weights."""

    url: str
    load: Callable[[], Mapping[str, Tensor]]
    """Downloads, or reads what was downloaded before."""


def pretrain(trunk: nn.Module, name: str, pretrained: str, *, bands: tuple[Band, ...]) -> Filled:
    """Pour weights into the trunk of an encoder.

    Args:
        trunk: Changed in place.
        name: Of the encoder.
        pretrained: "imagenet", "satlas", "prithvi" or a local file.
        bands: The inputs of the trunk but for the last, which is validity.

    Raises:
        InputError: No such weights for this encoder, or they do not fit it.
        DataError: The file is broken or holds more than weights.
        AccessError: They cannot be downloaded; the message says what to do.
    """
    if pretrained in KINDS:
        state, least = dict(download(name, pretrained)), 1.0
    else:
        state, least = read_weights(pretrained), LEAST
    filled = fill(trunk, state, bands=bands, origin=f"{pretrained} for {name}", least=least)
    log.log(logging.INFO if filled.share == 1 else logging.WARNING, "%s", filled)
    return filled


def read_weights(path: str | Path) -> State:
    """The tensors of a local file; pickles that hold more than tensors and plain values are refused.

    Raises:
        InputError: No such file, or not a kind of file that holds weights.
        DataError: It cannot be read, or holds no tensors.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError(f"no pre-training {str(path)!r}: wanted {', '.join(KINDS)} or a file {' '.join(SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"no file of weights {path}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of an unusual pickle, which either loads or is refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(f"{path} is broken or holds more than weights: {first_line(error)}") from error
    except (SafetensorError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read as weights: {first_line(error)}") from error
    state = tensors(content)
    if not state:
        raise DataError(f"{path} holds no weights: found {type(content).__name__} {shown(tuple(content))}")
    return state


def tensors(content: Any) -> State:
    """The weights in a checkpoint, at any of the usual depths."""
    if not isinstance(content, Mapping):
        return {}
    for name in NESTED:
        if isinstance(content.get(name), Mapping):
            return tensors(content[name])
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def download(name: str, kind: str) -> Mapping[str, Tensor]:
    """Public weights of an encoder, through the library that knows them; kept in that library's cache.

    Raises:
        InputError: There are none of this kind.
        AccessError: The download failed.
    """
    source = source_of(name, kind)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results, torch tells there that it downloads
            return source.load()
    except FAILURES as error:
        raise AccessError(
            f"weights {kind} for {name} cannot be downloaded: {first_line(error)}. "
            f"Fetch {source.url} where there is a network, bring the file here and name it: --pretrained FILE"
        ) from error


def source_of(name: str, kind: str) -> Source:
    """Where the public weights of an encoder lie.

    Raises:
        InputError: There are none of this kind.
    """
    if kind == "satlas" and name in SATLAS:
        return hub_file(SATLAS_REPOSITORY, SATLAS[name])
    if kind == "prithvi" and name in PRITHVI:
        return hub_file(PRITHVI_REPOSITORY, PRITHVI[name])
    if kind == "imagenet" and name in SATLAS:
        weights = torchvision.models.get_model_weights(name.removeprefix("satlas:")).IMAGENET1K_V1
        return Source(url=weights.url, load=lambda: weights.get_state_dict(progress=False))
    if kind == "imagenet" and name not in PRITHVI:
        plain = name.removeprefix(SMP).removeprefix("tu-")
        return smp_source(plain) if name == SMP + plain else timm_source(plain)
    wanted = {"satlas": " ".join(SATLAS), "prithvi": " ".join(PRITHVI), "imagenet": "a timm, smp: or satlas: encoder"}
    raise InputError(f"no weights {kind!r} for encoder {name!r}: they are for {wanted[kind]}")


def timm_source(name: str) -> Source:
    """ImageNet weights of a timm model."""
    known = timm.get_pretrained_cfg(name)
    if known is None or not (known.hf_hub_id or known.url):
        raise InputError(
            f"no weights 'imagenet' for encoder {name!r}: timm has none; wanted another encoder or a local file"
        )
    url = hub_url(known.hf_hub_id, known.hf_hub_filename or "model.safetensors") if known.hf_hub_id else known.url
    return Source(url=str(url), load=lambda: timm.create_model(name, pretrained=True).state_dict())


def smp_source(name: str) -> Source:
    """ImageNet weights of an encoder of segmentation_models_pytorch."""
    settings = smp.encoders.encoders[name]["pretrained_settings"]
    if "imagenet" not in settings:
        raise InputError(
            f"no weights 'imagenet' for encoder smp:{name}: smp has {' '.join(settings)}; wanted a local file"
        )
    known = settings["imagenet"]
    plain = hub_file(known["repo_id"], "model.safetensors", known["revision"])

    def load() -> Mapping[str, Tensor]:
        # not get_encoder(name, weights=...): after a failure it warns and tries an older place
        state = dict(plain.load())
        encoder = smp.encoders.get_encoder(name, weights=None)
        encoder.load_state_dict(state)
        return encoder.state_dict()

    return Source(url=plain.url, load=load)


def hub_file(repository: str, file: str, revision: str = "main") -> Source:
    """A file of weights in a public repository of the Hugging Face hub."""
    return Source(
        url=hub_url(repository, file, revision),
        load=lambda: read_weights(hf_hub_download(repository, file, revision=revision)),
    )


def hub_url(repository: str, file: str, revision: str = "main") -> str:
    """Where a browser gets it."""
    return f"https://huggingface.co/{repository}/resolve/{revision}/{file}"


def first_line(error: Exception) -> str:
    """Of a message that may go on for pages, shortened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
