"""`ssc masker`: list, predict, train, evaluate, convert, dataset. Torch is loaded inside the commands that need it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.shown import show_names
from ssc.errors import InputError

masker_app = typer.Typer(
    help="Maskers: who tells water from cloud, shadow and snow.", no_args_is_help=True, rich_markup_mode=None
)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable summary on stdout.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto: the best there is.")]
Chips = Annotated[list[Path] | None, typer.Option(help="Folder made by ssc masker dataset; may be repeated.")]


@masker_app.command("list", epilog="Example: ssc masker list")
def list_(as_json: Json = False) -> None:
    """Maskers by name: shipped networks, and those that need no weights."""
    from tasks.maskers import names

    show_names(names(), as_json=as_json)


@masker_app.command(epilog="Example: ssc masker predict granules/HLS.S30.T15SXR.2021250T163901.v2.0 --out masks")
def predict(
    granules: Annotated[list[str], typer.Argument(help="Granule folders or files, or https:// or s3:// granules.")],
    out: Annotated[Path, typer.Option(help="Folder for the masks.")],
    masker: Annotated[str, typer.Option(help="Name of a masker, or a card's path.")] = "default",
    bands: Annotated[
        str, typer.Option(help="For a masker of any bands: six, all, or names as in blue,green,red,nir.")
    ] = "six",
    dem: Annotated[str | None, typer.Option(help="Elevation model: adds the shadow that terrain casts.")] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the five probabilities too, as uint8.")
    ] = False,
    quicklook: Annotated[bool, typer.Option(help="Write a picture beside each mask.")] = True,
    redo: Annotated[bool, typer.Option("--redo", help="Write again what this masker wrote before.")] = False,
    as_json: Json = False,
) -> None:
    """Write the five masks of each granule as a cloud-optimised GeoTIFF, with a STAC item and a picture.

    A masker of any bands judges by all that it is given, for example: ssc masker predict granules --masker any.json
    --bands all --out masks. A pixel without data in one of those bands has no mask.
    """
    from flows.predict import Wanted, parse_bands, run_predict, show_predicted

    wanted = Wanted(out=out, probabilities=probabilities, quicklook=quicklook, redo=redo)
    found = run_predict(granules, wanted, masker=masker, dem=dem, bands=parse_bands(bands))
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        show_predicted(found, out)
    raise typer.Exit(found.exit_code)


@masker_app.command(
    epilog="Example: ssc masker dataset --basins 200 --seed 1000 --river-chips hls_l30_river_chips --out chips"
)
def dataset(
    out: Annotated[Path, typer.Option(help="New folder for the chips.")],
    basins: Annotated[int, typer.Option(min=0, help="Simulated basins, 20 chips each.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the first basin; the others follow.")] = 1000,
    testing: Annotated[
        bool, typer.Option("--testing", help="Basins for tests: other suns, all in the split test.")
    ] = False,
    river_chips: Annotated[Path | None, typer.Option(help="Folder of the HLS L30 river chips.")] = None,
    skies: Annotated[int, typer.Option(min=0, help="Simulated skies over each river chip for training.")] = 6,
    granules: Annotated[list[str] | None, typer.Option(help="Folder of HLS granules; may be repeated.")] = None,
    dswx: Annotated[Path | None, typer.Option(help="Folder of the OPERA DSWx-HLS granules that label them.")] = None,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Pixels per side of a chip.")] = 256,
    bands: Annotated[str, typer.Option(help="six, or all: a chip has nothing in bands its satellite lacks.")] = "six",
    as_json: Json = False,
) -> None:
    """Make training chips: simulated basins, real river chips, HLS granules labelled by OPERA DSWx."""
    from flows.masker_training import make_dataset
    from flows.predict import parse_bands
    from ssc.bands import Band
    from tasks.chips.build import Recipe

    recipe = Recipe(
        basins=basins,
        seed=seed,
        testing=testing,
        rivers=river_chips,
        skies=skies,
        granules=tuple(granules or ()),
        dswx=dswx,
        size=size,
        bands=parse_bands(bands) or tuple(Band),
    )
    counts = make_dataset(out, recipe, command=_command())
    if as_json:
        print(json.dumps(counts, indent=2))
    else:
        for what, count in counts.items():
            print(f"{count:>7} {what}")


@masker_app.command(
    epilog="Example: ssc masker train --chips chips --out runs/a --epochs 30 --tasks water,cloud --backbone resnet18"
)
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run; a run it holds is resumed.")],
    chips: Chips = None,
    name: Annotated[str, typer.Option(help="Of the masker, on its card.")] = "trained",
    backbone: Annotated[
        str, typer.Option(help="Encoder: a timm name, smp:NAME, satlas:swin_v2_t, satlas:resnet50, prithvi:100m, ...")
    ] = "mobilenetv4_conv_small",
    levels: Annotated[int, typer.Option(min=1, max=6, help="Levels of its pyramid; transformers mostly have 4.")] = 5,
    pretrained: Annotated[
        str | None, typer.Option(help="imagenet, satlas, prithvi, or a file of weights for the encoder.")
    ] = None,
    stem: Annotated[
        str, typer.Option(help="fixed: the six bands; spectral or permutational: any bands, told what they see.")
    ] = "fixed",
    begin: Annotated[
        str | None, typer.Option(help="Card of a masker to train further; a spectral stem takes a fixed one too.")
    ] = None,
    balance_sensors: Annotated[
        bool, typer.Option("--balance-sensors", help="Show as many chips of L30 as of S30.")
    ] = False,
    tasks: Annotated[
        str, typer.Option(help="Masks to learn, by comma: water cloud cloud_shadow snow_ice terrain_shadow.")
    ] = "all",
    epochs: Annotated[int, typer.Option(min=1)] = 50,
    steps: Annotated[int | None, typer.Option(min=1, help="At most so many steps in an epoch.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Chips per step, over all processes.")] = 16,
    crop: Annotated[int, typer.Option(min=32, help="Side of the training squares, pixels.")] = 256,
    lr: Annotated[float, typer.Option(min=0, help="Highest learning rate.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(min=0)] = 0.01,
    loss: Annotated[str, typer.Option(help="bce, balanced, or adaptive_maxpool.")] = "balanced",
    weight: Annotated[
        list[str] | None, typer.Option(help="SOURCE=TIMES: how often an epoch shows its chips; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option()] = 0,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto.")] = "auto",
    device: Device = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that prepare batches.")] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            help="sensors: instead train on S30, on L30 and on both, and test each on each. Heeds --chips (none: makes "
            "its own), --river-chips, --out, --seed and --device alone."
        ),
    ] = None,
    river_chips: Annotated[
        Path | None, typer.Option(help="For the experiment: folder of the HLS L30 river chips, to test on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a masking network, choose thresholds and calibrate it on the validation chips, write its card.

    On several GPUs: torchrun --nproc-per-node 4 -m flows.cli masker train ...
    """
    if experiment is not None:
        _experiment(experiment, out, chips or [], river_chips, seed=seed, device=device, as_json=as_json)
        return
    if not chips:
        raise InputError("nothing to train on: found no --chips, wanted folders made by ssc masker dataset")
    from flows.masker_training import parse_numbers, parse_tasks, train_masker
    from models.multitask import NetworkConfig
    from models.recipe import Sensing
    from models.trainsettings import TrainSettings
    from ssc.bands import SIX, Band

    any_bands = stem != "fixed"
    network = NetworkConfig(
        encoder=backbone,
        levels=levels,
        tasks=parse_tasks(tasks),
        stem=stem,
        bands=tuple(Band) if any_bands else SIX,
    )
    settings = TrainSettings(
        chips=tuple(map(str, chips)),
        out=str(out),
        network=network,
        pretrained=pretrained,
        begin=begin,
        sensing=Sensing() if any_bands else None,
        balance=balance_sensors,
        epochs=epochs,
        steps_per_epoch=steps,
        batch_size=batch_size,
        crop=crop,
        lr=lr,
        weight_decay=weight_decay,
        loss=loss,
        weights=parse_numbers(weight or [], "--weight"),
        seed=seed,
        precision=precision,
        device=device,
        workers=workers,
    )
    facts = train_masker(settings, name=name, command=_command())
    if as_json:
        print(json.dumps(facts, indent=2))


@masker_app.command(
    epilog="Example: ssc masker evaluate --chips chips --masker default --masker runs/first/trained.json --out scores"
)
def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for tables and pictures.")],
    masker: Annotated[list[str] | None, typer.Option(help="Name or card; may be repeated; default: default.")] = None,
    chips: Annotated[list[Path] | None, typer.Option(help="Folder of chips; may be repeated.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    benchmark: Annotated[str | None, typer.Option(help="A public benchmark: lana, sparcs, biome, cloudsen12.")] = None,
    path: Annotated[Path | None, typer.Option(help="Folder of the benchmark.")] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Choose thresholds anew on the split val, not the card's.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score maskers beside MNDWI, DSWx and Fmask on the same chips, with intervals, calibration, turbid water lost."""
    from flows.masker_scoring import Exam, evaluate_maskers

    exam = Exam(
        chips=tuple(chips or ()),
        split=split,
        benchmark=benchmark,
        path=path,
        refit=refit,
        seed=seed,
        device=device,
    )
    scores = evaluate_maskers(masker or ["default"], exam, out)
    if as_json:
        print(json.dumps(scores, indent=2))


@masker_app.command(
    epilog="Example: ssc masker convert deeplabv3p_model_best.pth.tar --backbone deeplabv3p --out maskers"
)
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Published checkpoint, .pth.tar.")],
    backbone: Annotated[str, typer.Option(help="Which of the nine published architectures.")],
    out: Annotated[Path, typer.Option(help="Folder for weights and card.")],
    name: Annotated[str | None, typer.Option(help="Of the masker; default: published- and the backbone.")] = None,
    scaling: Annotated[
        str, typer.Option(help="published-crop as the authors' production, published-chip as their evaluation.")
    ] = "published-crop",
    threshold: Annotated[
        list[str] | None, typer.Option(help="TASK=VALUE by published name; default: the authors'. May be repeated.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights; the authors state none.")] = None,
    as_json: Json = False,
) -> None:
    """Turn a published checkpoint into safetensors with a card, reading nothing but tensors and plain values."""
    from flows.masker_training import parse_numbers
    from models import convert as converter

    card = converter.convert(
        checkpoint,
        backbone,
        out,
        name=name,
        scaling=scaling,
        thresholds=parse_numbers(threshold or [], "--threshold"),
        **({} if licence is None else {"licence": licence}),
    )
    if as_json:
        print(json.dumps(card.as_dict(), indent=2))
    else:
        print(out / f"{card.name}.json")


def _experiment(
    name: str, out: Path, chips: list[Path], river_chips: Path | None, *, seed: int, device: str, as_json: bool
) -> None:
    if name != "sensors":
        raise InputError(f"--experiment {name}: wanted sensors")
    from flows.experiments import run_sensors

    facts = run_sensors(out, chips=chips, river_chips=river_chips, seed=seed, device=device, command=_command())
    if as_json:
        print(json.dumps(facts, indent=2))


def _command() -> str:
    """The command as typed, for the record; paths shortened to their last part, which may name a user."""
    return " ".join(["ssc", *(Path(word).name if "/" in word else word for word in sys.argv[1:])])
