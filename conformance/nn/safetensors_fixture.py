"""Writes pytorch.safetensors, a small convolutional network made by PyTorch, with its
logits; and loads giveaway.safetensors, which giveaway-nn wrote, and writes the logits that
PyTorch gets from it. Both are for crates/nn/tests/safetensors.rs, which says how
giveaway.safetensors was made.

    python safetensors_fixture.py

Made with torch 2.15.0 and safetensors 0.8.0.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
RECORDS = 6
NETWORK = {
    "inputs": 60,
    "image": {
        "height": 6,
        "width": 5,
        "channels": 2,
        "convolutions": [
            {"channels": 3, "size": 3, "padding": "same", "pool": "max"},
            {"channels": 4, "size": 2, "padding": "valid"},
        ],
    },
    "hidden": [7],
    "classes": 3,
    "activation": "tanh",
    "dropout": 0.0,
}


class Model(nn.Module):
    """The network that giveaway-nn describes by the JSON under `network`."""

    def __init__(self, network):
        super().__init__()
        self.image = network.get("image")
        if network.get("skips") or (self.image or {}).get("skips"):
            raise SystemExit("the network has residual additions, which this model lacks")
        self.activation = {"relu": torch.relu, "tanh": torch.tanh}[network["activation"]]
        self.convolutions = nn.ModuleList()
        width = network["inputs"]
        if self.image:
            channels = self.image["channels"]
            size = [self.image["height"], self.image["width"]]
            for c in self.image["convolutions"]:
                same = c.get("padding", "valid") == "same"
                padding = c["size"] // 2 if same else 0
                self.convolutions.append(
                    nn.Conv2d(channels, c["channels"], c["size"], padding=padding)
                )
                channels = c["channels"]
                size = [n + 2 * padding + 1 - c["size"] for n in size]
                if c.get("pool"):
                    size = [n // 2 for n in size]
            width = channels * size[0] * size[1]
        self.layers = nn.ModuleList()
        for units in [*network["hidden"], network["classes"]]:
            self.layers.append(nn.Linear(width, units))
            width = units

    def forward(self, x):
        if self.image:
            shape = [self.image[name] for name in ("height", "width", "channels")]
            x = x.reshape(-1, *shape).permute(0, 3, 1, 2)
            for module, c in zip(self.convolutions, self.image["convolutions"]):
                x = self.activation(module(x))
                if c.get("pool"):
                    pool = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[c["pool"]]
                    x = pool(2)(x)
            x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def features(inputs):
    """Simple numbers that the test makes the same way."""
    numbers = [((i * 37) % 101) / 50.0 - 1.0 for i in range(RECORDS * inputs)]
    return torch.tensor(numbers, dtype=torch.float32).reshape(RECORDS, inputs)


def write():
    torch.manual_seed(1)
    model = Model(NETWORK)
    metadata = {"format": "pt", "network": json.dumps(NETWORK)}
    save_file(model.state_dict(), HERE / "pytorch.safetensors", metadata)
    write_logits(model, NETWORK, "pytorch_logits.txt")


def load(name, logits):
    with safe_open(HERE / name, "pt") as file:
        network = json.loads(file.metadata()["network"])
        model = Model(network)
        model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    write_logits(model, network, logits)


def write_logits(model, network, name):
    with torch.no_grad():
        logits = model(features(network["inputs"]))
    lines = [" ".join(repr(x) for x in row) for row in logits.tolist()]
    (HERE / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
    load("giveaway.safetensors", "giveaway_logits.txt")
