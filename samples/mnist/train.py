#!/usr/bin/env python3
"""Train the MNIST sample models and export them to ONNX.

Run fetch_data.py first. Every finished epoch is saved in checkpoints/, so an
interrupted run continues where it stopped and gives the same weights. The
exported weights are those of the last epoch; no epoch is selected by its test
accuracy. The accuracy in models.json is measured with ONNX Runtime on the
exported file, over all 10,000 test images.
"""

import argparse
import gzip
import hashlib
import json
import math
import os
import struct
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import torch
from onnx_ir.passes import common as passes
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules.common import materialize_reshape_shape_rule
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
BATCH = 128
OPSET = 18
Z_95 = 1.959964  # two-sided 95 % quantile of the normal distribution

# Ranges of the random affine transform of a training image.
MAX_ROTATION = math.radians(12)
MAX_SHEAR = 0.15
MAX_SCALING = 0.12
MAX_SHIFT = 2.5 / 14  # 2.5 pixels in units of half the image


def make_mlp(activation: Callable[[], nn.Module], dropout: float) -> nn.Module:
    """Return a 784-256-256-10 fully connected network."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 256),
            act1=activation(),
            dropout1=nn.Dropout(dropout),
            fc2=nn.Linear(256, 256),
            act2=activation(),
            dropout2=nn.Dropout(dropout),
            fc3=nn.Linear(256, 10),
        )
    )


def make_cnn_relu() -> nn.Module:
    """Return two 3x3 convolutions with batch normalization, then 1568-64-10."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1),
            bn1=nn.BatchNorm2d(16),
            act1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            bn2=nn.BatchNorm2d(32),
            act2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            dropout1=nn.Dropout(0.25),
            fc1=nn.Linear(32 * 7 * 7, 64),
            act3=nn.ReLU(),
            dropout2=nn.Dropout(0.25),
            fc2=nn.Linear(64, 10),
        )
    )


def make_cnn_tanh() -> nn.Module:
    """Return a network shaped like LeNet-5, with batch normalization and max pooling."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 5, padding=2),
            bn1=nn.BatchNorm2d(8),
            act1=nn.Tanh(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(8, 24, 5),
            bn2=nn.BatchNorm2d(24),
            act2=nn.Tanh(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            dropout1=nn.Dropout(0.1),
            fc1=nn.Linear(24 * 5 * 5, 84),
            act3=nn.Tanh(),
            dropout2=nn.Dropout(0.1),
            fc2=nn.Linear(84, 10),
        )
    )


class Recipe(NamedTuple):
    """How one model is built and trained."""

    build: Callable[[], nn.Module]
    epochs: int
    seed: int
    learning_rate: float
    weight_decay: float


RECIPES = {
    "mlp_sigmoid": Recipe(lambda: make_mlp(nn.Sigmoid, 0.1), 140, 1, 3e-3, 0.01),
    "mlp_relu": Recipe(lambda: make_mlp(nn.ReLU, 0.15), 140, 2, 2e-3, 0.05),
    "cnn_relu": Recipe(make_cnn_relu, 24, 3, 3e-3, 0.05),
    "cnn_tanh": Recipe(make_cnn_tanh, 30, 4, 3e-3, 0.05),
}


def log(message: str) -> None:
    """Write one line of progress to stderr."""
    print(message, file=sys.stderr, flush=True)


def read_idx(path: Path) -> np.ndarray:
    """Return the array of a compressed IDX file of unsigned bytes."""
    with gzip.open(path) as stream:
        data = stream.read()
    rank = data[3]
    shape = struct.unpack_from(f">{rank}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_split(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images [N,1,28,28], float32 in 0..1, and labels [N], int64."""
    folder = HERE / "full"
    try:
        images = read_idx(folder / f"{split}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz")
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is missing: run fetch_data.py first")
    return images[:, None] / np.float32(255), labels.astype(np.int64)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, shear, scale and shift each image [N,1,28,28] at random."""
    count = len(images)
    angle, shear, scale_x, scale_y, shift_x, shift_y = (
        torch.rand(6, count, generator=generator) * 2 - 1
    )
    cosine = torch.cos(angle * MAX_ROTATION)
    sine = torch.sin(angle * MAX_ROTATION)
    slant = shear * MAX_SHEAR
    scale_x = 1 + scale_x * MAX_SCALING
    scale_y = 1 + scale_y * MAX_SCALING
    matrix = torch.empty(count, 2, 3)
    matrix[:, 0, 0] = cosine * scale_x
    matrix[:, 0, 1] = (slant * cosine - sine) * scale_y
    matrix[:, 0, 2] = shift_x * MAX_SHIFT
    matrix[:, 1, 0] = sine * scale_x
    matrix[:, 1, 1] = (slant * sine + cosine) * scale_y
    matrix[:, 1, 2] = shift_y * MAX_SHIFT
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def train(name: str, recipe: Recipe, images: Tensor, labels: Tensor) -> nn.Module:
    """Train one model, continuing from its checkpoint if there is one."""
    torch.manual_seed(recipe.seed)
    model = recipe.build()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = math.ceil(len(images) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.learning_rate,
        total_steps=recipe.epochs * steps,
        pct_start=0.1,
        cycle_momentum=False,
    )
    checkpoint = HERE / "checkpoints" / f"{name}-{recipe.epochs}-epochs.pt"
    checkpoint.parent.mkdir(exist_ok=True)
    first_epoch = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        first_epoch = saved["epochs"]
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        log(f"{name}: continuing after epoch {first_epoch}")

    model.train()
    for epoch in range(first_epoch, recipe.epochs):
        start = time.monotonic()
        # Every epoch has its own seed, so that a continued run repeats it.
        epoch_seed = recipe.seed * 1000 + epoch
        torch.manual_seed(epoch_seed)
        generator = torch.Generator().manual_seed(epoch_seed)
        total_loss = 0.0
        for batch in torch.randperm(len(images), generator=generator).split(BATCH):
            logits = model(augment(images[batch], generator))
            loss = functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total_loss += loss.item() * len(batch)
        partial = checkpoint.with_suffix(".partial")
        torch.save(
            {
                "epochs": epoch + 1,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
            },
            partial,
        )
        os.replace(partial, checkpoint)
        log(
            f"{name}: epoch {epoch + 1}/{recipe.epochs},"
            f" training loss {total_loss / len(images):.4f},"
            f" {time.monotonic() - start:.1f} s"
        )
    return model.eval()


def export(
    model: nn.Module,
    path: Path,
    shape: tuple[int, ...] = (1, 28, 28),
    input_name: str = "image",
    output_name: str = "logits",
) -> None:
    """Write the model to one ONNX file with a free batch size N; shape is that of one input.

    The exporter's own optimization folds batch normalization into the
    convolutions. It is left off, so that the model keeps these nodes; the
    passes below only tidy the graph. The notes on the nodes are removed because
    they hold stack traces with file paths.
    """
    program = torch.onnx.export(
        model,
        (torch.zeros(2, *shape),),
        dynamo=True,
        opset_version=OPSET,
        input_names=[input_name],
        output_names=[output_name],
        dynamic_shapes=({0: "N"},),
        optimize=False,
        external_data=False,
        verbose=False,
    )
    assert program is not None  # always true with dynamo
    tidy = onnx_ir.passes.Sequential(
        RewritePass([materialize_reshape_shape_rule]),
        passes.IdentityEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(size_limit=0),
        passes.ClearMetadataAndDocStringPass(),
    )
    proto = onnx_ir.to_proto(tidy(program.model).model)
    onnx.checker.check_model(proto, full_check=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(proto.SerializeToString(deterministic=True))
    os.replace(partial, path)


def count_correct(path: Path, images: np.ndarray, labels: np.ndarray) -> int:
    """Return how many images the ONNX file classifies correctly (top-1)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    correct = 0
    for start in range(0, len(images), 500):
        batch = slice(start, start + 500)
        (logits,) = session.run(["logits"], {"image": images[batch]})
        correct += int((logits.argmax(axis=1) == labels[batch]).sum())
    return correct


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """Return the Wilson 95 % interval of a proportion."""
    p = correct / count
    denominator = 1 + Z_95**2 / count
    center = (p + Z_95**2 / (2 * count)) / denominator
    half_width = (
        Z_95 * math.sqrt(p * (1 - p) / count + Z_95**2 / (4 * count**2)) / denominator
    )
    return center - half_width, center + half_width


def update_record(record: dict[str, object]) -> None:
    """Replace one model's entry in models.json."""
    path = HERE / "models.json"
    records = json.loads(path.read_text()) if path.exists() else []
    by_name = {entry["name"]: entry for entry in records}
    by_name[record["name"]] = record
    ordered = [by_name[name] for name in RECIPES if name in by_name]
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(ordered, indent=2) + "\n")
    os.replace(partial, path)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=f"models to train (default: all): {', '.join(RECIPES)}",
    )
    parser.add_argument(
        "--epochs", type=int, help="train for this many epochs, not the recipe's"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in RECIPES]
    if unknown:
        parser.error(f"unknown model: {', '.join(unknown)}")

    torch.set_num_threads(1)
    train_images, train_labels = map(torch.from_numpy, read_split("train"))
    test_images, test_labels = read_split("t10k")
    for name in arguments.models or RECIPES:
        recipe = RECIPES[name]
        if arguments.epochs:
            recipe = recipe._replace(epochs=arguments.epochs)
        model = train(name, recipe, train_images, train_labels)
        path = HERE / f"{name}.onnx"
        export(model, path)
        correct = count_correct(path, test_images, test_labels)
        interval = wilson_interval(correct, len(test_images))
        update_record(
            {
                "name": name,
                "file": path.name,
                "parameters": sum(p.numel() for p in model.parameters()),
                "accuracy": correct / len(test_images),
                "images": len(test_images),
                "interval": [round(bound, 6) for bound in interval],
                "seed": recipe.seed,
                "epochs": recipe.epochs,
                "torch": torch.__version__,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
        log(f"{name}: {correct} of {len(test_images)} test images correct")


if __name__ == "__main__":
    main()
