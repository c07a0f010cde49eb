#!/usr/bin/env python3
"""Train a network on CIFAR-10 and export it to ONNX (opset 17).

The networks: the paper's VGG5 with sigmoid or ReLU, its sample-aware trained twins
(VGG5 whose sigmoids are p-bits while it is trained, the loss taken on the mean of
--samples passes, the gradient straight through: the paper's first route), ResNet-20.

Every finished epoch is saved in the output folder, so an interrupted run continues
where it stopped and gives the same weights. The exported weights are those of the
last epoch; no epoch is selected by its test accuracy. The reported accuracy is
measured with ONNX Runtime on the exported file, over all 10,000 test images.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

OPSET = 17
IR_VERSION = 8
BATCH = 256
SEED = 1
LEARNING_RATE = 3e-3  # of AdamW, which trains biases, scales and the last layer
WEIGHT_DECAY = 0.01
STEP = 0.05  # learning rate of OrthogonalMomentum, which trains all other weights
MOMENTUM = 0.9
NEWTON_SCHULZ_STEPS = 3
WARM_UP = 0.2  # share of the steps in which the learning rate rises
PADDING = 4  # largest shift of a training image, in pixels
# Of the inputs of VGG5's fully connected layers. With sigmoids it costs more than it gives.
DROPOUT = {"sigmoid": 0.0, "relu": 0.3}
LABEL_SMOOTHING = 0.1
EXPORT_EVERY = 5  # epochs
# x = (pixel / 255 - MEAN) / STD for every channel
MEAN = 0.5
GREY = 128  # the pixel that is nearly 0 for the network
STD = 0.25
CHANNELS = (3, 32, 64, 128)
HIDDEN = 1024
CLASSES = 10
STAGES = ((16, 1), (32, 2), (64, 2))  # ResNet-20: channels and first stride
BLOCKS = 3  # residual blocks in a stage


class Log:
    """Writes each line to stderr and to a file."""

    def __init__(self, path: Path) -> None:
        self.stream: TextIO = path.open("a")

    def write(self, message: str) -> None:
        """Write one line of progress."""
        for stream in (sys.stderr, self.stream):
            print(message, file=stream, flush=True)


class OrthogonalMomentum(torch.optim.Optimizer):
    """Steps along the nearest orthogonal matrix to the momentum (the Muon optimizer).

    The inputs of a sigmoid network's layers have a large common part, so that most of
    a gradient points along few directions; an orthogonal step goes along all of them
    alike. With AdamW the same network needs several times as many epochs.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay})

    @staticmethod
    def orthogonalize(matrix: Tensor) -> Tensor:
        """Return roughly U V' of the singular value decomposition U S V'."""
        tall = matrix.shape[0] > matrix.shape[1]
        x = matrix.T if tall else matrix
        x = (x / (x.norm() + 1e-7)).bfloat16()
        for _ in range(NEWTON_SCHULZ_STEPS):
            square = x @ x.T
            x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
        return (x.T if tall else x).float()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].mul_(MOMENTUM).add_(parameter.grad)
                matrix = (parameter.grad + MOMENTUM * momentum).flatten(1)
                scale = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
                update = self.orthogonalize(matrix).reshape(parameter.shape)
                parameter.mul_(1 - group["lr"] * group["decay"])
                parameter.add_(update, alpha=-group["lr"] * scale)


class SampledSigmoid(nn.Module):
    """A p-bit: 1 with probability sigmoid(x); its gradient is that of the sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        """Draw one bit per element."""
        probability = torch.sigmoid(x)
        bit = (torch.rand_like(probability) < probability).to(probability.dtype)
        return probability + (bit - probability).detach()


class Repeat(nn.Module):
    """Repeat every image of the batch: the passes that share the layers before it."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, x: Tensor) -> Tensor:
        """Return [samples * N, ...], the whole batch after itself."""
        return x.repeat(self.samples, *[1] * (x.ndim - 1))


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, then ReLU (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to the shortcut."""
        return functional.relu(self.branch(x) + self.shortcut(x))


def build_vgg5(activation: str, samples: int) -> nn.Sequential:
    """Return conv 32 - conv 64 - conv 128 - fully connected 1024 - 10.

    Each convolution is 3x3 with batch normalization, 2x2 max pooling and activation
    (a monotone activation may change places with the pooling: it does in the exported
    model, which has the paper's order). Weights start as Glorot and Bengio propose. A
    sigmoid of inputs with unit variance is almost linear, so its batch normalizations
    start with a larger scale, and the fully connected layers start centred on inputs
    around 0.5.
    """

    def activate() -> list[nn.Module]:
        if samples:
            return [SampledSigmoid()]
        return [nn.Sigmoid() if activation == "sigmoid" else nn.ReLU()]

    def drop() -> list[nn.Module]:
        return [] if samples else [nn.Dropout(DROPOUT[activation])]

    layers: list[nn.Module] = []
    for inputs, outputs in zip(CHANNELS, CHANNELS[1:]):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.MaxPool2d(2),
        ]
        if samples > 1 and inputs == CHANNELS[0]:
            layers.append(Repeat(samples))
        layers += activate()
    hidden = nn.Linear(CHANNELS[-1] * 4 * 4, HIDDEN)
    last = nn.Linear(HIDDEN, CLASSES)
    layers += [nn.Flatten(), *drop(), hidden, *activate(), *drop(), last]
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.BatchNorm2d) and activation == "sigmoid":
            nn.init.constant_(layer.weight, 2.0)
    if activation == "sigmoid":
        with torch.no_grad():
            hidden.weight.mul_(4)  # the slope of a sigmoid is at most 1/4
            hidden.bias.copy_(-0.5 * hidden.weight.sum(dim=1))
            last.bias.copy_(-0.5 * last.weight.sum(dim=1))
    return nn.Sequential(*layers)


def build_resnet20() -> nn.Sequential:
    """Return ResNet-20 for 32x32 images (He et al. 2016), 1x1 shortcuts."""
    width = STAGES[0][0]
    layers: list[nn.Module] = [
        nn.Conv2d(CHANNELS[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for channels, stride in STAGES:
        for block in range(BLOCKS):
            layers.append(Residual(width, channels, 1 if block else stride))
            width = channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]
    return nn.Sequential(*layers)


def read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images [N,3,32,32], uint8, and labels [N] of the binary CIFAR-10."""
    pattern = "data_batch_*.bin" if split == "train" else "test_batch.bin"
    files = sorted(folder.glob(pattern))
    if not files:
        sys.exit(f"{folder}: no {pattern}; give the binary version of CIFAR-10")
    rows = np.concatenate([np.fromfile(file, np.uint8) for file in files])
    rows = rows.reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).copy(), rows[:, 0].astype(np.int64)


def normalize(images: Tensor) -> Tensor:
    """Return float images as the network wants them."""
    return (images.float() / 255 - MEAN) / STD


def hide_squares(images: Tensor, side: int, generator: torch.Generator) -> None:
    """Make a square of every image [N,32,32,3] grey (Cutout, DeVries and Taylor 2017).

    Its place is random; up to all but one of its rows and columns may be outside.
    """
    first = torch.randint(1 - side, 32, (2, len(images), 1), generator=generator)
    inside = (torch.arange(32) >= first) & (torch.arange(32) < first + side)
    images[inside[0, :, :, None] & inside[1, :, None, :]] = GREY


def augment(padded: Tensor, square: int, generator: torch.Generator) -> Tensor:
    """Cut a 32x32 window at random from images [N,H,W,3]; mirror half of them.

    Hides a square of `square` pixels a side. Returns uint8 [N,3,32,32] in
    channels-last order.
    """
    count = len(padded)
    shifts = torch.randint(2 * PADDING + 1, (2, count), generator=generator)
    mirrored = torch.rand(count, generator=generator) < 0.5
    pixels = torch.arange(32)
    rows = shifts[0, :, None] + pixels
    columns = shifts[1, :, None] + torch.where(
        mirrored[:, None], pixels.flip(0), pixels
    )
    image = torch.arange(count)[:, None, None]
    images = padded[image, rows[:, :, None], columns[:, None, :]]
    if square:
        hide_squares(images, square, generator)
    return images.permute(0, 3, 1, 2)


class Training:
    """A network with its optimizers, schedules and checkpoint."""

    def __init__(
        self, model: nn.Sequential, arguments: argparse.Namespace, steps: int, path: Path
    ) -> None:
        self.model = model.to(memory_format=torch.channels_last)
        self.samples = max(arguments.samples, 1)
        self.square = arguments.square
        rate, epochs = arguments.rate, arguments.epochs
        weights = [p for p in self.model.parameters() if p.ndim > 1][:-1]
        others = [p for p in self.model.parameters() if all(p is not w for w in weights)]
        self.optimizers = [
            OrthogonalMomentum(weights, rate * STEP, arguments.decay),
            torch.optim.AdamW(
                others, rate * LEARNING_RATE, weight_decay=WEIGHT_DECAY
            ),
        ]
        self.schedules = [
            torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                optimizer.defaults["lr"],
                total_steps=max(epochs, 1) * steps,
                pct_start=WARM_UP,
                cycle_momentum=False,
            )
            for optimizer in self.optimizers
        ]
        self.checkpoint = path
        self.epoch = 0
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint)
            self.epoch = saved["epoch"]
            for part, state in zip(self.parts(), saved["parts"]):
                part.load_state_dict(state)

    def parts(self) -> list:
        """Return all that has a state."""
        return [self.model, *self.optimizers, *self.schedules]

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        partial = self.checkpoint.with_suffix(".partial")
        parts = [part.state_dict() for part in self.parts()]
        torch.save({"epoch": self.epoch, "parts": parts}, partial)
        os.replace(partial, self.checkpoint)

    def run_epoch(self, padded: Tensor, labels: Tensor) -> float:
        """Train on every image once and return the mean loss."""
        # Every epoch has its own seed, so that a continued run repeats it.
        generator = torch.Generator().manual_seed(SEED * 1000 + self.epoch)
        torch.manual_seed(SEED * 1000 + self.epoch)
        order = torch.randperm(len(padded), generator=generator)
        total = 0.0
        self.model.train()
        for batch in order.split(BATCH):
            images = normalize(augment(padded[batch], self.square, generator))
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.model(images)
            logits = logits.float().view(self.samples, len(batch), CLASSES).mean(0)
            loss = functional.cross_entropy(
                logits, labels[batch], label_smoothing=LABEL_SMOOTHING
            )
            self.model.zero_grad()
            loss.backward()
            for optimizer, schedule in zip(self.optimizers, self.schedules):
                optimizer.step()
                schedule.step()
            total += loss.item() * len(batch)
        self.epoch += 1
        return total / len(padded)


class Graph:
    """The nodes and tensors of an ONNX graph that is being written."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.counts: dict[str, int] = {}

    def add(
        self,
        kind: str,
        stem: str,
        inputs: list[str],
        parameters: dict[str, Tensor] | None = None,
        **attributes: object,
    ) -> str:
        """Append a node and return the name of its output."""
        self.counts[stem] = self.counts.get(stem, 0) + 1
        name = f"{stem}{self.counts[stem]}"
        inputs = list(inputs)
        for key, value in (parameters or {}).items():
            inputs.append(f"{name}.{key}")
            array = value.detach().contiguous().numpy()
            self.tensors.append(numpy_helper.from_array(array, inputs[-1]))
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def add_layer(self, layer: nn.Module, x: str) -> str:
        """Append one layer that reads `x`; return the name of its output."""
        if isinstance(layer, nn.Sequential):
            return self.add_layers(list(layer), x)
        if isinstance(layer, Residual):
            branch = self.add_layer(layer.branch, x)
            both = [branch, self.add_layer(layer.shortcut, x)]
            return self.add("Relu", "act", [self.add("Add", "add", both)])
        if isinstance(layer, nn.BatchNorm2d):
            parameters = {
                "scale": layer.weight,
                "bias": layer.bias,
                "mean": layer.running_mean,
                "variance": layer.running_var,
            }
            return self.add(
                "BatchNormalization", "bn", [x], parameters, epsilon=layer.eps
            )
        if isinstance(layer, nn.Conv2d):
            parameters = {"weight": layer.weight}
            if layer.bias is not None:
                parameters["bias"] = layer.bias
            shape = {
                "kernel_shape": list(layer.kernel_size),
                "strides": list(layer.stride),
                "pads": list(layer.padding) * 2,
            }
            return self.add("Conv", "conv", [x], parameters, **shape)
        if isinstance(layer, nn.Linear):
            parameters = {"weight": layer.weight, "bias": layer.bias}
            return self.add("Gemm", "fc", [x], parameters, transB=1)
        if isinstance(layer, nn.MaxPool2d):
            shape = {"kernel_shape": [2, 2], "strides": [2, 2]}
            return self.add("MaxPool", "pool", [x], **shape)
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            return self.add("GlobalAveragePool", "mean", [x])
        if isinstance(layer, nn.Flatten):
            return self.add("Flatten", "flatten", [x])
        if isinstance(layer, (nn.Sigmoid, SampledSigmoid)):
            return self.add("Sigmoid", "act", [x])
        if isinstance(layer, nn.ReLU):
            return self.add("Relu", "act", [x])
        assert isinstance(layer, (nn.Dropout, Repeat)), layer
        return x

    def add_layers(self, layers: list[nn.Module], x: str) -> str:
        """Append layers; an activation goes before the pooling that it follows."""
        while layers:
            take = 1
            if isinstance(layers[0], nn.MaxPool2d):
                take = 3 if isinstance(layers[1], Repeat) else 2
            for layer in reversed(layers[:take]):
                x = self.add_layer(layer, x)
            layers = layers[take:]
        return x


def export(model: nn.Sequential, name: str, path: Path) -> None:
    """Write the model to one ONNX file with a free batch size N."""
    graph = Graph()
    graph.add_layer(model, "image")
    graph.nodes[-1].output[0] = "logits"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
    whole = helper.make_graph(
        graph.nodes, name, [image], [logits], initializer=graph.tensors
    )
    proto = helper.make_model(
        whole,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_operatorsetid("", OPSET)],
        producer_name="samples/cifar10/train.py",
    )
    onnx.checker.check_model(proto, full_check=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(proto.SerializeToString(deterministic=True))
    os.replace(partial, path)


def count_correct(path: Path, images: np.ndarray, labels: np.ndarray) -> int:
    """Return how many images the ONNX file classifies correctly (top-1)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    correct = 0
    for start in range(0, len(images), 500):
        batch = slice(start, start + 500)
        image = normalize(torch.from_numpy(images[batch])).numpy()
        (logits,) = session.run(["logits"], {"image": image})
        correct += int((logits.argmax(axis=1) == labels[batch]).sum())
    return correct


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the binary CIFAR-10")
    parser.add_argument("output", type=Path, help="folder for model, log, checkpoint")
    parser.add_argument("--model", choices=("vgg5", "resnet20"), default="vgg5")
    parser.add_argument("--activation", choices=("sigmoid", "relu"), default="sigmoid")
    parser.add_argument(
        "--samples", type=int, default=0, help="train VGG5 with so many passes of p-bits"
    )
    parser.add_argument("--epochs", type=int, default=60, help="0: untrained weights")
    parser.add_argument(
        "--square", type=int, default=0, help="side of the square hidden in every image"
    )
    parser.add_argument(
        "--decay", type=float, default=0.0, help="decay of the weights, per learning rate"
    )
    parser.add_argument(
        "--start", type=Path, help="checkpoint of the same layers whose weights to start from"
    )
    parser.add_argument(
        "--rate", type=float, default=1.0, help="what to multiply learning rates by"
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.model == "resnet20":
        arguments.activation, arguments.samples = "relu", 0
    if arguments.samples:
        arguments.activation = "sigmoid"
    name = f"{arguments.model}_{arguments.activation}"
    if arguments.samples:
        name += f"_samples{arguments.samples}"
    path = arguments.output / f"{name}.onnx"
    log = Log(arguments.output / f"{name}.log")
    images, labels = read_split(arguments.data, "train")
    test_images, test_labels = read_split(arguments.data, "test")
    border = ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0))
    padded = np.pad(images.transpose(0, 2, 3, 1), border, constant_values=GREY)
    padded, labels = torch.from_numpy(padded), torch.from_numpy(labels)

    steps = -(-len(images) // BATCH)
    torch.manual_seed(SEED)
    if arguments.model == "resnet20":
        model = build_resnet20()
    else:
        model = build_vgg5(arguments.activation, arguments.samples)
    if arguments.start:
        weights = torch.load(arguments.start)["parts"][0].values()
        model.load_state_dict(dict(zip(model.state_dict(), weights, strict=True)))
    checkpoint = arguments.output / f"{name}-{arguments.epochs}-epochs.pt"
    training = Training(model, arguments, steps, checkpoint)
    while True:
        if training.epoch % EXPORT_EVERY == 0 or training.epoch == arguments.epochs:
            export(training.model, name, path)
            correct = count_correct(path, test_images, test_labels)
            log.write(f"{name}: {correct} of {len(test_images)} test images correct")
        if training.epoch >= arguments.epochs:
            break
        start = time.monotonic()
        loss = training.run_epoch(padded, labels)
        training.save()
        log.write(
            f"{name}: epoch {training.epoch}/{arguments.epochs},"
            f" training loss {loss:.4f}, {time.monotonic() - start:.1f} s"
        )
    record = {
        "name": name,
        "parameters": sum(p.numel() for p in training.model.parameters()),
        "accuracy": correct / len(test_images),
        "images": len(test_images),
        "seed": SEED,
        "epochs": arguments.epochs,
        "torch": torch.__version__,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
