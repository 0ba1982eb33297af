"""Training of a masking network: from folders of chips to weights.

    result = train(TrainSettings(chips=("chips/simulated", "chips/real"), out="runs/first"))
    result.best                                   safetensors of the best epoch, decided on all validation chips

One process, or one per GPU under torchrun. A run that was killed and is called again goes on at the step it had saved
and ends, on a CPU in fp32, in the same bits as a run that was left alone: batches, changes of chips, learning rate and
random numbers are functions of the settings and the step, and everything else is in `last.safetensors`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from models.averaging import Average
from models.beginning import (
    OTHER_BANDS,
    batches_of,
    loader_of,
    network_of,
    optimiser_of,
    pool_of,
    positive_weight_of,
)
from models.checkpoint import (
    drafted,
    load_state,
    optimiser_tensors,
    part,
    prefixed,
    restore_optimiser,
    save_state,
)
from models.losses import LOSSES, known_pixels
from models.pool import Batch, ChipPool
from models.processes import Group, joined
from models.progress import Clock, Sums, write_logs
from models.runfolder import TrainResult, result_files, scored
from models.trainsettings import TrainSettings, check, device_kind, learning_rate, require_same, uses_bf16
from models.validation import Validation, validate
from ssc.errors import DataError, InputError

Report = Callable[[dict[str, Any]], None]


def train(settings: TrainSettings, *, report: Report | None = None) -> TrainResult:
    """Train a network, or go on training it.

    Args:
        settings: What to train on, and how.
        report: Called about once a second by the first process with phase ("train", "val", "epoch"), epoch, epochs,
            step, of, loss, lr and chips_per_second; after an epoch with its row of the log. A network that begins with
            trained weights is told first: phase "start", and what they fill.

    Raises:
        InputError: Settings that cannot be, or other ones than the run in `out` began with.
        DataError: A broken folder or state, or a loss that is no longer a number.
    """
    check(settings)
    kind = device_kind(settings.device)
    with joined(kind) as group:
        if settings.batch_size % group.size:
            raise InputError(f"batch size {settings.batch_size} over {group.size} processes: wanted a multiple")
        device = torch.device("cuda", group.local) if kind == "cuda" else torch.device("cpu")
        with torch.random.fork_rng(devices=[device] if kind == "cuda" else []):
            return _Run(settings, group, device, report or _silent).go()


class _Run:
    """One run in one process."""

    def __init__(self, settings: TrainSettings, group: Group, device: torch.device, report: Report) -> None:
        self.settings, self.group, self.device, self.report = settings, group, device, report
        self.files = result_files(settings.out)
        network = settings.network
        self.train_pool, self.val_pool = (pool_of(settings, split) for split in ("train", "val"))
        self.batches = batches_of(settings, self.train_pool, group)
        self.steps = len(self.batches)
        torch.manual_seed(settings.seed)
        begun = self.files["last"].exists()  # a run that goes on has its own weights: the card may be gone
        built, self.began_with = network_of(replace(settings, begin=None) if begun else settings)
        self.filled = built.encoder.filled
        self.model: nn.Module = built.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.model, settings.ema)
        self.optimiser = optimiser_of(self.model, settings)
        self.weight = positive_weight_of(settings, device)
        self.autocast = uses_bf16(settings.precision, device)
        self.begun = self._begun()
        self.epoch, self.step = 0, 0
        self.best = {"score": -math.inf, "epoch": -1}
        self.history: list[dict[str, Any]] = []
        self.sums = Sums(len(network.tasks), device)

    def go(self) -> TrainResult:
        self._take_up()
        parallel = self._parallel()
        loader = loader_of(self.settings, self.train_pool, self.batches, self.device)
        while self.epoch < self.settings.epochs:
            self._epoch(parallel, loader)
        score, epoch = self.best["score"], int(self.best["epoch"])
        score = score if math.isfinite(score) else math.nan
        return TrainResult(**self.files, score=score, epoch=epoch, leads=self.group.leads)

    def _epoch(self, parallel: nn.Module, loader: Any) -> None:
        self.batches.set_epoch(self.epoch, self.step)
        self.model.train()
        clock = Clock(self.sums.seconds)
        for batch in loader:
            self._step(parallel, batch)
            self.sums.seconds = clock.now()
            if self.group.leads and clock.due():
                self._tell()
            if self.step % self.settings.save_every == 0 and self.step < self.steps:
                self._save()
        self._close()

    def _step(self, parallel: nn.Module, batch: Batch) -> None:
        """One step of the optimiser. Random numbers of the network (dropout) are those of the step, not of the past."""
        reflectance, labels, table = self._moved(batch)
        number = self.epoch * self.steps + self.step
        torch.manual_seed(hash((self.settings.seed, number, self.group.rank)) % 2**63)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(number, self.settings.epochs * self.steps, self.settings)
        with torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext():
            logits = parallel(reflectance) if table is None else parallel(reflectance, table)
        loss_of = LOSSES[self.settings.loss]
        loss = loss_of(logits.float(), labels, positive_weight=self.weight, total=self.group.shared)
        torch.autograd.backward(loss.sum())
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.average.update(number)
        self.sums.add(loss.detach(), known_pixels(labels), len(labels) * self.group.size)
        self.step += 1

    def _close(self) -> None:
        """Validate, keep the best, write log and state, turn to the next epoch."""
        self._require_finite()
        self._agree()
        found = self._validated(self.val_pool, self.settings.val_chips)
        row = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.optimiser.param_groups[0]["lr"],
            **scored(found, self.sums, self.settings.network.tasks, self.group),
            **self._other_scores(),
        }
        self.history.append(row)
        better = self.best["epoch"] < 0 or found.score > self.best["score"]
        if better:
            self.best = {"score": found.score if math.isfinite(found.score) else -math.inf, "epoch": self.epoch}
        if self.group.leads:
            if better:
                facts = {
                    "network": self.settings.network.as_dict(),
                    "epoch": self.epoch,
                    "score": found.score,
                    "began_with": self.began_with,
                }
                save_state(self.files["best"], self.average.model.state_dict(), facts)
            write_logs(self.files["log"], self.history)
        self.epoch, self.step = self.epoch + 1, 0
        self.sums = Sums(len(self.settings.network.tasks), self.device)
        self._save()
        if self.group.leads:
            self.report({"phase": "epoch", "epochs": self.settings.epochs, "of": self.steps, **row})

    def _validated(self, pool: ChipPool, most: int | None) -> Validation:
        return validate(
            self.average.model,
            pool,
            loss=LOSSES[self.settings.loss],
            group=self.group,
            batch_size=max(self.settings.batch_size // self.group.size, 1),
            most=most,
            autocast=self.autocast,
            tell=self._tell_validation,
        )

    def _other_scores(self) -> dict[str, float]:
        """Mean F1 with other bands than the six, on half of the chips; of a network for fixed bands none."""
        if not self.settings.any_bands:
            return {}
        most = max(min(self.settings.val_chips or len(self.val_pool), len(self.val_pool)) // 2, 1)
        pools = {name: pool_of(self.settings, "val", bands) for name, bands in OTHER_BANDS.items()}
        return {f"score_{name}": self._validated(pool, most).score for name, pool in pools.items()}

    def _take_up(self) -> None:
        """Go on where the folder's run stopped, if it holds one; write the settings."""
        if self.files["last"].exists():
            self._restore()
        elif self.group.leads:
            with drafted(self.files["settings"]) as draft:
                draft.write_text(json.dumps(self.settings.as_dict(), indent=1) + "\n")
            self._tell_start()
        self.group.wait()

    def _restore(self) -> None:
        if not self.settings.resume:
            raise InputError(f"{self.settings.out} holds a run: wanted another folder, or resume")
        tensors, facts = load_state(self.files["last"])
        require_same(facts["begun"], self.begun, self.settings.out)
        self.began_with = facts.get("began_with", {})
        self.model.load_state_dict(part(tensors, "model"))
        self.average.load(part(tensors, "average"))
        restore_optimiser(self.optimiser, tensors)
        self.sums.restore(tensors["sums"], facts["seconds"], facts["seen"], self.group)
        self.epoch, self.step, self.history = facts["epoch"], facts["step"], facts["history"]
        self.best = {"score": -math.inf if facts["best"] is None else facts["best"], "epoch": facts["best_epoch"]}

    def _save(self) -> None:
        self._require_finite()
        sums = self.sums.gathered(self.group)
        if self.group.leads:
            tensors = {
                **prefixed("model", self.model),
                **self.average.tensors(),
                **optimiser_tensors(self.optimiser),
                "sums": sums,
            }
            best = self.best["score"]
            facts = {
                "begun": self.begun,
                "began_with": self.began_with,
                "epoch": self.epoch,
                "step": self.step,
                "seconds": self.sums.seconds,
                "seen": self.sums.chips,
                "best": best if math.isfinite(best) else None,
                "best_epoch": self.best["epoch"],
                "history": self.history,
            }
            save_state(self.files["last"], tensors, facts)
        self.group.wait()

    def _agree(self) -> None:
        """Batch-norm statistics differ between processes within an epoch: those of the first are kept."""
        self.group.from_first([*self.model.buffers(), *self.average.buffers()])

    def _begun(self) -> dict[str, Any]:
        """What must not change between the beginning and the end of a run."""
        chips = {"train": self.train_pool.fingerprint(), "val": self.val_pool.fingerprint()}
        return {**self.settings.lasting(), "index of chips": chips}

    def _require_finite(self) -> None:
        if not math.isfinite(float(self.sums.tensor.sum())):
            place = f"epoch {self.epoch}, before step {self.step}"
            raise DataError(f"the loss is no longer a number in {place}: wanted a lower lr than {self.settings.lr}")

    def _parallel(self) -> nn.Module:
        if self.group.size == 1:
            return self.model
        own = [self.device] if self.device.type == "cuda" else None
        # static: an encoder cut short keeps layers that nothing reads, and plain DDP waits for their gradients
        return DistributedDataParallel(self.model, device_ids=own, static_graph=True)

    def _moved(self, batch: Batch) -> Batch:
        light = batch.reflectance.to(self.device, non_blocking=True, memory_format=torch.channels_last)
        table = None if batch.table is None else batch.table.to(self.device, non_blocking=True)
        return Batch(light, batch.labels.to(self.device, non_blocking=True), table)

    def _tell_start(self) -> None:
        filled = {} if self.filled is None else {"filled": str(self.filled)}
        if told := {**filled, **({"began_with": self.began_with} if self.began_with else {})}:
            self.report({**self._where("start"), **told})

    def _tell(self) -> None:
        self._require_finite()
        loss, seconds = self.sums.mean(), self.sums.seconds
        self.report({**self._where("train"), "loss": loss, "chips_per_second": self.sums.chips / max(seconds, 1e-9)})

    def _tell_validation(self, done: int, of: int) -> None:
        if self.group.leads:
            self.report({**self._where("val"), "step": done, "of": of})

    def _where(self, phase: str) -> dict[str, Any]:
        lr = self.optimiser.param_groups[0]["lr"]
        return {
            "phase": phase,
            "epoch": self.epoch,
            "epochs": self.settings.epochs,
            "step": self.step,
            "of": self.steps,
            "lr": lr,
        }


def _silent(_: dict[str, Any]) -> None:
    return
