"""Losses: the published ones against golden numbers, the masked ones against slow loops and their gradients."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from models.losses import LOSSES, adaptive_maxpool, balanced, bce, dice, masked_maxpool, published_bce
from models.packing import UNKNOWN

TASKS = ("water_mask", "cloudshadow_mask", "cloud_mask", "snowice_mask", "sun_mask")


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "reference" / "golden"
    arrays = np.load(folder / "loss_metrics.npz")
    wanted = json.loads((folder / "loss_metrics.json").read_text())["losses"]
    return {
        task: (*(torch.from_numpy(arrays[f"{kind}__{task}"]) for kind in ("pred", "label")), wanted) for task in TASKS
    }


@pytest.mark.parametrize(("name", "loss"), [("bce", published_bce), ("adaptive_maxpool", adaptive_maxpool)])
@pytest.mark.parametrize("task", TASKS)
def test_published_losses(golden, name, loss, task):
    probability, label, wanted = golden[task]
    assert float(loss(probability, label)) == pytest.approx(wanted[name][task], rel=1e-5)


def batch(seed=0, unknown=0.3, tasks=3, size=20):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, tasks, size, size, generator=generator)
    labels = (torch.rand(logits.shape, generator=generator) < 0.3).to(torch.uint8)
    labels[torch.rand(logits.shape, generator=generator) < unknown] = UNKNOWN
    return logits, labels


def pixels(logits, labels, task):
    """Known logits and labels of a task, in float64."""
    known = labels[:, task] != UNKNOWN
    return logits[:, task][known].double().numpy(), labels[:, task][known].double().numpy()


def test_bce_is_the_mean_over_known_pixels():
    logits, labels = batch()
    for task, found in enumerate(bce(logits, labels)):
        z, y = pixels(logits, labels, task)
        assert float(found) == pytest.approx(np.mean(np.logaddexp(0, z) - y * z), rel=1e-5)


def test_positive_weight_counts_what_is_there_more():
    logits, labels = batch()
    for task, found in enumerate(bce(logits, labels, positive_weight=torch.tensor([1.0, 2.0, 5.0]))):
        z, y = pixels(logits, labels, task)
        weight = np.where(y == 1, (1, 2, 5)[task], 1)
        assert float(found) == pytest.approx(np.mean(weight * (np.logaddexp(0, z) - y * z)), rel=1e-5)


def test_balanced_adds_dice_over_the_batch():
    logits, labels = batch()
    for task, (found, plain) in enumerate(zip(balanced(logits, labels), bce(logits, labels), strict=True)):
        z, y = pixels(logits, labels, task)
        p = 1 / (1 + np.exp(-z))
        assert float(found - plain) == pytest.approx(1 - 2 * (p * y).sum() / (p.sum() + y.sum()), rel=1e-4)


def test_dice_says_nothing_without_a_positive_pixel():
    logits, labels = batch()
    labels[:, 1][labels[:, 1] == 1] = 0
    found = dice(logits, labels)
    assert found[1] == 0
    assert (found[[0, 2]] > 0).all()


def test_masked_maxpool_without_unknown_is_the_published_one():
    logits, labels = batch(unknown=0)
    for task, found in enumerate(masked_maxpool(logits, labels)):
        one = slice(task, task + 1)
        assert float(found) == pytest.approx(float(adaptive_maxpool(torch.sigmoid(logits[:, one]), labels[:, one])))


@pytest.mark.parametrize("name", LOSSES)
def test_unknown_pixels_have_no_gradient_and_no_say(name):
    logits, labels = batch()
    logits.requires_grad_()
    found = LOSSES[name](logits, labels)
    found.sum().backward()
    unknown = labels == UNKNOWN
    assert (logits.grad[unknown] == 0).all()
    assert (logits.grad[~unknown] != 0).all()
    otherwise = torch.where(unknown, -logits.detach(), logits.detach())
    assert torch.equal(LOSSES[name](otherwise, labels), found.detach())


@pytest.mark.parametrize("name", LOSSES)
def test_a_task_without_labels_costs_nothing(name):
    logits, labels = batch()
    labels[:, 2] = UNKNOWN
    logits.requires_grad_()
    found = LOSSES[name](logits, labels)
    found.sum().backward()
    assert found[2] == 0
    assert (logits.grad[:, 2] == 0).all()
    alone = LOSSES[name](logits.detach()[:, :2], labels[:, :2])
    torch.testing.assert_close(found[:2].detach(), alone)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4]).repeat(8).view(1, 1, 4, 4).requires_grad_()
    labels = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    for name in LOSSES:
        (gradient,) = torch.autograd.grad(LOSSES[name](logits, labels).sum(), logits)
        assert torch.isfinite(gradient).all()
