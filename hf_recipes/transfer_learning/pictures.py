"""The images that a classifier gets wrong and why, and those whose labels may be wrong: galleries for its card."""

import textwrap
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy.special import softmax

from ..classification import rank_pairs
from ..figures import new_figure
from ..model_card import Section
from .features import doubtful_labels
from .inputs import to_pil


def gallery(pictures: list[tuple[Any, str]], columns: int = 6):
    """Pictures with a title each."""
    if not pictures:
        return None
    figure, axes = new_figure(-(-len(pictures) // columns), min(len(pictures), columns), 1.8, 2.1)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (picture, title) in zip(axes.flat, pictures):
        axis.imshow(picture)
        axis.set_title(title, size=7)
    return figure


def short(name: str) -> str:
    return textwrap.shorten(str(name), 26, placeholder="...")


def show_pairs(confusion: np.ndarray, logits: np.ndarray, labels: np.ndarray, test: Dataset, names: list[str]):
    """Of the three most confused pairs, the four mistakes each that the network was surest of; logits `(images, classes)`."""
    answers, pictures = logits.argmax(1), []
    for _, first, second in rank_pairs(confusion)[:3]:
        rows = np.flatnonzero(((labels == first) & (answers == second)) | ((labels == second) & (answers == first)))
        surest = rows[np.argsort(-softmax(logits[rows], 1).max(1))][:4]
        pictures += [
            (to_pil(test[int(row)]), f"{short(names[answers[row]])}\nis {short(names[labels[row]])}") for row in surest
        ]
    return gallery(pictures, columns=4)


def worst_losses(trainer, probabilities: np.ndarray, labels: np.ndarray, test: Dataset, names: list[str]) -> Section:
    """The images of the highest loss, with Grad-CAM where the network has maps of features."""
    losses = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1))
    answers, pictures = probabilities.argmax(1), []
    for row in np.argsort(-losses)[:6]:
        image, answer = to_pil(test[int(row)]), answers[row]
        pictures.append(
            (image, f"{short(names[answer])} {probabilities[row, answer]:.0%}\nis {short(names[labels[row]])}")
        )
        heat = grad_cam(trainer.model, trainer.processing_class, image, int(answer))
        if heat is not None:
            pictures.append((overlay_heat(image, heat, trainer.processing_class), "where it looked"))
    text = (
        "Test images of the highest loss, and what spoke for the network's answer there (Grad-CAM on the last features, Selvaraju et "
        "al. 2017, over the part of the image that the network sees)."
    )
    return Section("Highest losses", text, figure=gallery(pictures, columns=4), shows_data=True)


def grad_cam(model, processor, image, label: int) -> np.ndarray | None:
    """`(height, width)` of the last features, 0..1: how much each place spoke for the class. None without maps of features."""
    pixel_values = processor(image)["pixel_values"].to(model.device)
    network = model.timm_model
    with torch.enable_grad():
        features = network.forward_features(pixel_values).detach().requires_grad_()
        if features.ndim != 4 or features.shape[1] != network.num_features:
            return None
        (gradient,) = torch.autograd.grad(network.forward_head(features)[0, label], features)
    heat = (features * gradient.mean((2, 3), keepdim=True)).sum(1)[0].clamp(min=0).detach()
    return (heat / heat.max().clamp(min=1e-9)).cpu().numpy()


def overlay_heat(image, heat: np.ndarray, processor) -> np.ndarray:
    """The part of the image that the network sees, with the heat in red."""
    pixel_values = processor(image)["pixel_values"][0]
    mean, std = (torch.tensor(processor.data_config[key])[:, None, None] for key in ("mean", "std"))
    seen = (pixel_values * std + mean).clamp(0, 1)
    large = torch.nn.functional.interpolate(torch.from_numpy(heat)[None, None], seen.shape[1:], mode="bilinear")[0, 0]
    red = torch.tensor([0.85, 0.1, 0.2])[:, None, None]
    share = 0.6 * large
    return (seen * (1 - share) + red * share).movedim(0, -1).numpy()


def show_doubtful_labels(with_features: Dataset, train: Dataset, names: list[str]) -> Section | None:
    """Of the training images, given their features and themselves."""
    doubtful = doubtful_labels(with_features)
    if not doubtful:
        return None
    splits, indices, labels = train["split"], train["index"], train["label"]
    rows = [
        {
            "image": f"{splits[row]} {indices[row]}",
            "given class": names[labels[row]],
            "likelier class": names[other],
            "probability of the given class": given,
        }
        for row, other, given in doubtful
    ]
    pictures = [
        (to_pil(train[row]), f"given {short(names[labels[row]])}\nor {short(names[other])}?")
        for row, other, _ in doubtful
    ]
    text = (
        "Training images whose class logistic regression on the frozen features finds least likely, in cross-validation (self-confidence "
        "of Northcutt et al. 2021): wrong labels, or hard cases. Row numbers are the data set's own."
    )
    return Section("Doubtful labels", text, rows, figure=gallery(pictures, columns=4), shows_data=True)
