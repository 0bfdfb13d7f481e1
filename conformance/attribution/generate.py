"""Writes what PyTorch makes of attributions on small networks with fixed weights.

    python generate.py

Read by crates/giveaway/src/explain/attribution/tests.rs: the networks as safetensors files
(`dense-*`, `softmax-*`, `images-*`), and values.json.

- Integrated gradients of the loss gap between OUT and IN networks, by autograd in float64 with
  the midpoint rule: 200,000 points for the dense networks, whose units are rectified, and
  20,000 for softmax regression.
- Grad-CAM of the last convolution after activation and pooling, by autograd in float64, its
  maps enlarged by `interpolate(mode="bilinear", align_corners=False)`, divided by their maxima
  and averaged over two networks.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "nn"))
from safetensors_fixture import Model  # noqa: E402


def network(inputs, hidden, classes, image=None, activation="relu"):
    described = {
        "inputs": inputs,
        "hidden": hidden,
        "classes": classes,
        "activation": activation,
        "dropout": 0.0,
    }
    return described | ({"image": image} if image else {})


def made(name, described, generator):
    """A network with normal weights, saved; in float64 with the float32 weights of the file."""
    model = Model(described)
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
        with torch.no_grad():
            values = torch.randn(parameter.shape, generator=generator) * 1.4 / fan_in**0.5
            parameter.copy_(values)
    metadata = {"format": "pt", "network": json.dumps(described)}
    save_file(model.state_dict(), HERE / f"{name}.safetensors", metadata=metadata)
    return model.double()


def gap(models_out, models_in, x, label):
    def mean_loss(models):
        losses = [-functional.log_softmax(m(x), dim=1)[:, label] for m in models]
        return torch.stack(losses).mean(dim=0)

    return mean_loss(models_out) - mean_loss(models_in)


def integrated_gradients(models, record, baseline, label, points):
    mean = torch.zeros_like(record)
    chunk = 20_000
    for start in range(0, points, chunk):
        t = (torch.arange(start, start + chunk, dtype=torch.float64) + 0.5) / points
        x = (baseline + t[:, None] * (record - baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(gap(*models, x, label).sum(), x)
        mean += gradient.sum(dim=0) / points
    return (record - baseline) * mean


def dense_case(prefix, described, label, points, generator):
    models = tuple(
        [made(f"{prefix}-{side}-{i}", described, generator) for i in range(2)]
        for side in ("out", "in")
    )
    record = torch.randn(described["inputs"], generator=generator).double()
    baseline = 0.3 * torch.randn(described["inputs"], generator=generator).double()
    with torch.no_grad():
        ends = gap(*models, torch.stack([record, baseline]), label)
    attributions = integrated_gradients(models, record, baseline, label, points)
    return {
        "network": described,
        "label": label,
        "record": record.tolist(),
        "baseline": baseline.tolist(),
        "gap": ends[0].item(),
        "baseline_gap": ends[1].item(),
        "attributions": attributions.tolist(),
        "points": points,
    }


def images_case(generator):
    image = {
        "height": 9,
        "width": 11,
        "channels": 2,
        "convolutions": [
            {"channels": 3, "size": 3, "padding": "same", "pool": "max"},
            {"channels": 4, "size": 2, "padding": "valid"},
        ],
    }
    described = network(9 * 11 * 2, [7], 3, image)
    models = [made(f"images-{i}", described, generator) for i in range(2)]
    inputs = torch.randn(4, 9 * 11 * 2, generator=generator).double()
    cases = []
    for label in range(3):
        raw, shown = [], []
        for model in models:
            # the last convolution has no pooling: its activation is what the layers see
            x = inputs.reshape(-1, 9, 11, 2).permute(0, 3, 1, 2)
            x = functional.max_pool2d(torch.relu(model.convolutions[0](x)), 2)
            x = torch.relu(model.convolutions[1](x)).detach().requires_grad_()
            h = x.flatten(1)
            for layer in model.layers[:-1]:
                h = torch.relu(layer(h))
            logits = model.layers[-1](h)
            assert torch.allclose(logits, model(inputs))
            (gradient,) = torch.autograd.grad(logits[:, label].sum(), x)
            weights = gradient.mean(dim=(2, 3), keepdim=True)
            maps = torch.relu((weights * x).sum(dim=1)).detach()
            raw.append(maps)
            large = functional.interpolate(
                maps[:, None], size=(9, 11), mode="bilinear", align_corners=False
            )[:, 0]
            largest = large.amax(dim=(1, 2), keepdim=True)
            shown.append(torch.where(largest > 0, large / largest, 0.0))
        cases.append(
            {
                "raw": torch.stack(raw).flatten().tolist(),
                "shown": torch.stack(shown).mean(dim=0).flatten().tolist(),
            }
        )
    return {"network": described, "inputs": inputs.tolist(), "labels": cases}


torch.set_num_threads(1)
generator = torch.Generator().manual_seed(11)
values = {
    "versions": {"torch": torch.__version__, "numpy": np.__version__},
    "dense": dense_case("dense", network(6, [9, 5], 3), 1, 200_000, generator),
    "softmax": dense_case("softmax", network(5, [], 4), 2, 20_000, generator),
    "images": images_case(generator),
}
(HERE / "values.json").write_text(json.dumps(values) + "\n", encoding="utf-8")
