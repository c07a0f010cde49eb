#!/usr/bin/env python3
"""Train a small network that tells shoulder exercises apart by a smartwatch, and write its data.

The recordings are those inside the Python package seglearn 1.2.5: seven exercises, ten people, both arms, three
axes of acceleration and three of rotation at 50 Hz. A row is a window of four seconds, averaged to 12.5 Hz: 50 steps
of 6 channels, a byte each. Two people, whom the training never sees, are the test split.

The exported weights are those of the last epoch; no epoch is selected by its test accuracy. The reported accuracy is
measured with ONNX Runtime on the exported file, over all test rows.
"""

import argparse
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

SHA256 = "ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd"  # of seglearn-1.2.5-py3-none-any.whl
RECORDINGS = "seglearn/data/watch_dataset.npy"
TEST_SUBJECTS = (9, 10)
RATE = 50  # Hz
WINDOW = 200  # samples: 4 s
AVERAGED = 4  # samples to a step
TRAIN_STRIDE, TEST_STRIDE = 25, 50  # samples between the starts of windows
UNIT = np.array([40, 40, 40, 16, 16, 16])  # steps of a byte to 1 g and to 1 rad/s; 128 is zero
SCALE, MEAN = 1 / 64, 2.0  # x = byte * SCALE - MEAN, so -2..2
CALIBRATION_ROWS = 512
HIDDEN = (128, 64)
CLASSES = 7
SEED = 1
EPOCHS = 60
BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
DROPOUT = 0.3
TILT = 0.3  # rad: largest rotation of the watch on the arm that augmentation makes
OPSET, IR_VERSION = 17, 8


def read_recordings(path: Path) -> dict:
    """Return the package's dictionary of recordings."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"{path} is not seglearn-1.2.5-py3-none-any.whl as it was when this was written")
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        return np.load(io.BytesIO(wheel.read(RECORDINGS)), allow_pickle=True).item()


def cut_windows(recordings: dict, test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return windows [N, 200, 6], float, and their exercises [N]."""
    windows, labels = [], []
    for series, subject, label in zip(recordings["X"], recordings["subject"], recordings["y"]):
        if (subject in TEST_SUBJECTS) == test:
            stride = TEST_STRIDE if test else TRAIN_STRIDE
            starts = range(0, len(series) - WINDOW + 1, stride)
            windows += [series[start : start + WINDOW] for start in starts]
            labels += [label] * len(starts)
    return np.stack(windows).astype(np.float32), np.array(labels, np.int64)


def average(windows: np.ndarray) -> np.ndarray:
    """Return rows [N, 50, 6] of four samples' means."""
    return windows.reshape(len(windows), -1, AVERAGED, windows.shape[2]).mean(2)


def to_bytes(rows: np.ndarray) -> np.ndarray:
    """Return rows [N, 300], uint8."""
    return np.clip(np.round(rows * UNIT + 128), 0, 255).astype(np.uint8).reshape(len(rows), -1)


def tilt(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Turn each window's axes by an angle of its own; acceleration and rotation alike."""
    angle = (2 * torch.rand(len(rows), 3, generator=generator) - 1) * TILT
    cross = torch.zeros(len(rows), 3, 3)
    for i, j, k, sign in ((0, 1, 2, -1), (0, 2, 1, 1), (1, 2, 0, -1)):
        cross[:, i, j], cross[:, j, i] = sign * angle[:, k], -sign * angle[:, k]
    turn = torch.matrix_exp(cross)
    return (rows.view(len(rows), -1, 2, 3) @ turn[:, None]).view(rows.shape)


def build() -> nn.Sequential:
    """Return 300-128-64-7 with ReLU."""
    widths = (WINDOW // AVERAGED * len(UNIT), *HIDDEN, CLASSES)
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers[:-2])


def train(rows: np.ndarray, labels: np.ndarray) -> nn.Sequential:
    """Train on rows [N, 50, 6] in g and rad/s."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = build()
    inputs, targets, unit = torch.from_numpy(rows), torch.from_numpy(labels), torch.from_numpy(UNIT).float()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(rows), generator=generator).split(BATCH):
            image = (tilt(inputs[batch], generator) * unit + 128).round().clamp(0, 255) * SCALE - MEAN
            loss = functional.cross_entropy(model(image.flatten(1)), targets[batch], label_smoothing=0.1)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1}/{EPOCHS}, training loss {total / len(rows):.4f}", file=sys.stderr, flush=True)
    return model.eval()


def export(model: nn.Sequential, path: Path) -> None:
    """Write the model with a free batch size N."""
    nodes, tensors, x = [], [], "window"
    layers = [layer for layer in model if not isinstance(layer, nn.Dropout)]
    for i, layer in enumerate(layers):
        name = "logits" if i + 1 == len(layers) else f"{'fc' if isinstance(layer, nn.Linear) else 'act'}{i // 2 + 1}"
        if isinstance(layer, nn.Linear):
            for key, value in (("weight", layer.weight), ("bias", layer.bias)):
                tensors.append(numpy_helper.from_array(value.detach().numpy(), f"{name}.{key}"))
            nodes.append(helper.make_node("Gemm", [x, f"{name}.weight", f"{name}.bias"], [name], name, transB=1))
        else:
            nodes.append(helper.make_node("Relu", [x], [name], name))
        x = name
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", model[0].in_features])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
    graph = helper.make_graph(nodes, "wearable", [window], [logits], initializer=tensors)
    proto = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_operatorsetid("", OPSET)],
        producer_name="samples/wearable/train.py",
    )
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="seglearn-1.2.5-py3-none-any.whl")
    parser.add_argument("output", type=Path, nargs="?", default=Path(__file__).parent, help="where to write (here)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recordings = read_recordings(arguments.wheel)
    windows, labels = cut_windows(recordings, test=False)
    rows = average(windows)
    path = arguments.output / "mlp_relu.onnx"
    export(train(rows, labels), path)

    chosen = np.random.default_rng(SEED).permutation(len(rows))[:CALIBRATION_ROWS]
    test_windows, test_labels = cut_windows(recordings, test=True)
    test_rows = to_bytes(average(test_windows))
    for name, data, answers in (
        (f"train-{CALIBRATION_ROWS}", to_bytes(rows[chosen]), labels[chosen]),
        ("test", test_rows, test_labels),
    ):
        np.save(arguments.output / f"{name}-windows.npy", data)
        np.save(arguments.output / f"{name}-labels.npy", answers.astype(np.uint8))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"window": test_rows.astype(np.float32) * np.float32(SCALE) - np.float32(MEAN)})
    correct = int((logits.argmax(1) == test_labels).sum())
    record = {
        "name": "mlp_relu",
        "training_rows": len(rows),
        "test_rows": len(test_rows),
        "correct": correct,
        "accuracy": round(correct / len(test_rows), 6),
        "seed": SEED,
        "epochs": EPOCHS,
        "torch": torch.__version__,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (arguments.output / "models.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record), file=sys.stderr)


if __name__ == "__main__":
    main()
