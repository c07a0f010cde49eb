#!/usr/bin/env python3
"""Train the networks of this folder and export them to ONNX.

Run ../mnist/fetch_data.py first; the packages are those of ../mnist/requirements.txt. One CPU thread and fixed seeds:
a few minutes per model, and the same weights each time on the same kind of processor. The weights are those of the
last epoch. Measured figures go to models.json.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
BATCH = 128
LATENT = 10


def load_mnist_script():
    """Return ../mnist/train.py as a module: it reads the data and writes ONNX files."""
    path = HERE.parent / "mnist" / "train.py"
    spec = importlib.util.spec_from_file_location("mnist_train", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


mnist = load_mnist_script()


def make_decoder(fan_in: int) -> nn.Module:
    """Return the paper's decoder, 10-64-128-256-784, sigmoid throughout.

    A limit of the fan-in makes groups of a layer with more inputs: neurons read fan_in neighbours, and as many groups
    as that takes share the outputs evenly, as a 1x1 convolution with groups does. Hardware then needs no list of
    connections. 0 sets no limit.
    """
    sizes = (LATENT, 64, 128, 256, 784)
    layers = OrderedDict(unflatten=nn.Unflatten(1, (LATENT, 1, 1)))
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:]), 1):
        groups = max(1, inputs // fan_in) if fan_in else 1
        if inputs % groups or outputs % groups:
            sys.exit(f"layer {i}: a fan-in of {fan_in} does not divide {inputs} inputs evenly")
        layers[f"fc{i}"] = nn.Conv2d(inputs, outputs, 1, groups=groups)
        layers[f"act{i}"] = nn.Sigmoid()
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers)


def make_mlp() -> nn.Module:
    """Return 784-64-10, sigmoid."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(), fc1=nn.Linear(784, 64), act1=nn.Sigmoid(), fc2=nn.Linear(64, 10)
        )
    )


def make_tiny() -> nn.Module:
    """Return 196-24-10, sigmoid, for images of 14 x 14 pixels."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(), fc1=nn.Linear(196, 24), act1=nn.Sigmoid(), fc2=nn.Linear(24, 10)
        )
    )


def make_cnn() -> nn.Module:
    """Return two 3x3 convolutions with ReLU and 2x2 max pooling, 8 and 16 channels, then 784-10."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1),
            act1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(8, 16, 3, padding=1),
            act2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 10),
        )
    )


class Recipe(NamedTuple):
    """How one classifier is built and trained."""

    build: Callable[[], nn.Module]
    size: int  # pixels on a side
    epochs: int
    seed: int
    learning_rate: float


CLASSIFIERS = {
    "mlp": Recipe(make_mlp, 28, 30, 11, 4e-3),
    "cnn": Recipe(make_cnn, 28, 12, 12, 3e-3),
    "tiny": Recipe(make_tiny, 14, 40, 13, 5e-3),
}
DECODER_EPOCHS = 60
DECODER_SEED = 14
MODELS = ("vae_decoder", *CLASSIFIERS)


def resize(images: Tensor, size: int) -> Tensor:
    """Return the images, or 14 x 14 ones as halve_images.py makes them: each pixel the rounded mean of four."""
    if size == images.shape[-1]:
        return images
    total = functional.avg_pool2d(images * 255, 2, divisor_override=1)
    return torch.floor((torch.round(total) + 2) / 4) / 255


def optimize(model: nn.Module, rate: float, epochs: int, steps: int):
    """Return Adam and a one-cycle schedule."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=epochs * steps, pct_start=0.1, cycle_momentum=False
    )
    return optimizer, schedule


def fit(name: str, model: nn.Module, loss_of: Callable, rate: float, epochs: int, seed: int, count: int) -> None:
    """Minimize loss_of(indices of a batch, progress 0..1) over random batches."""
    optimizer, schedule = optimize(model, rate, epochs, -(-count // BATCH))
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(count, generator=generator).split(BATCH):
            loss = loss_of(batch, epoch / epochs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        mnist.log(f"{name}: epoch {epoch + 1}/{epochs}, training loss {total / count:.4f}")
    model.eval()


def run_onnx(path: Path, inputs: np.ndarray) -> np.ndarray:
    """Return what ONNX Runtime computes for all inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: part})[0] for part in np.split(inputs, len(inputs) // 500)])


def train_classifier(name: str, train: tuple, test: tuple) -> dict:
    """Train and export one classifier; return its record."""
    recipe = CLASSIFIERS[name]
    torch.manual_seed(recipe.seed)
    images, labels = resize(train[0], recipe.size), train[1]
    model = recipe.build()
    fit(name, model, lambda batch, _: functional.cross_entropy(model(images[batch]), labels[batch]),
        recipe.learning_rate, recipe.epochs, recipe.seed, len(images))  # fmt: skip
    path = HERE / f"{name}.onnx"
    mnist.export(model, path, (1, recipe.size, recipe.size))
    logits = run_onnx(path, resize(test[0], recipe.size).numpy())
    correct = int((logits.argmax(axis=1) == test[1].numpy()).sum())
    mnist.log(f"{name}: {correct} of {len(logits)} test images correct")
    low, high = mnist.wilson_interval(correct, len(logits))
    return {
        "accuracy": correct / len(logits),
        "images": len(logits),
        "interval": [round(low, 6), round(high, 6)],
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": recipe.seed,
        "epochs": recipe.epochs,
    }


def train_decoder(fan_in: int, train: tuple, test: tuple) -> dict:
    """Train a variational autoencoder; export its decoder and latents to calibrate and show it with."""
    torch.manual_seed(DECODER_SEED)
    images = train[0].flatten(1)
    encoder = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 2 * LATENT)
    )
    decoder = make_decoder(fan_in)
    logits_of = nn.Sequential(*decoder[:-2], decoder[-1])  # no last sigmoid: the loss includes it, and cannot overflow

    def loss_of(batch: Tensor, progress: float) -> Tensor:
        mean, log_variance = encoder(images[batch]).chunk(2, dim=1)
        latent = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
        likelihood = functional.binary_cross_entropy_with_logits(logits_of(latent), images[batch], reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        # The divergence sets in slowly: from the start it would silence the latents before the decoder uses them.
        return (likelihood + min(1.0, 2 * progress) * divergence) / len(batch)

    fit("vae_decoder", nn.ModuleList([encoder, decoder]), loss_of, 3e-3, DECODER_EPOCHS, DECODER_SEED, len(images))
    path = HERE / "vae_decoder.onnx"
    mnist.export(decoder, path, (LATENT,), "latent", "image")
    with torch.no_grad():
        latents = [encoder(part[0].flatten(1))[:, :LATENT].numpy() for part in (train, test)]
    np.save(HERE / "latents_train_1000.npy", latents[0][:1000])
    # Ten test images of each digit, the first ones: columns of the picture.
    first = np.concatenate([np.flatnonzero(test[1].numpy() == digit)[:10] for digit in range(10)])
    np.save(HERE / "latents_test_100.npy", latents[1][first])
    outputs = run_onnx(path, latents[1])
    error = float(((outputs - test[0].flatten(1).numpy()) ** 2).mean())
    mnist.log(f"vae_decoder: mean squared error of {len(outputs)} test images {error:.5f}")
    return {
        "mean_squared_error": round(error, 6),
        "images": len(outputs),
        "fan_in": fan_in,
        "parameters": sum(p.numel() for p in decoder.parameters()),
        "seed": DECODER_SEED,
        "epochs": DECODER_EPOCHS,
    }


def update_record(name: str, record: dict) -> None:
    """Replace one model's entry in models.json."""
    path = HERE / "models.json"
    records = json.loads(path.read_text()) if path.exists() else {}
    records[name] = record
    text = json.dumps({key: records[key] for key in MODELS if key in records}, indent=2)
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n")
    os.replace(partial, path)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"models to train (default: {' '.join(MODELS)})")
    parser.add_argument(
        "--fan-in", type=int, default=32, help="inputs of a neuron of vae_decoder, at most; 0: all (32)"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in MODELS]
    if unknown:
        parser.error(f"unknown model: {', '.join(unknown)}")
    torch.set_num_threads(1)
    train, test = (tuple(map(torch.from_numpy, mnist.read_split(split))) for split in ("train", "t10k"))
    for name in arguments.models or MODELS:
        if name == "vae_decoder":
            record = train_decoder(arguments.fan_in, train, test)
        else:
            record = train_classifier(name, train, test)
        record["torch"] = torch.__version__
        record["sha256"] = hashlib.sha256((HERE / f"{name}.onnx").read_bytes()).hexdigest()
        update_record(name, record)


if __name__ == "__main__":
    main()
