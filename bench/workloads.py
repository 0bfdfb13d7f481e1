"""The workloads of workloads.json, and how many operations they take."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """Square images of one channel; convolutions without padding, each with a max pool."""

    side: int
    filter: int
    channels: list[int]
    pool: int


@dataclass(frozen=True)
class Workload:
    inputs: int
    image: Image | None
    hidden: list[int]
    classes: int
    epochs: int
    batch_size: int
    records: int  # each model is trained on a random half of them
    held_out: int
    models: int

    @property
    def rows(self) -> int:
        """Records that a model is trained on."""
        return self.records // 2

    @property
    def dense_layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each dense layer."""
        inputs = self.inputs
        if self.image:
            side = self.image.side
            for _ in self.image.channels:
                side = (side + 1 - self.image.filter) // self.image.pool
            inputs = side * side * self.image.channels[-1]
        widths = [inputs, *self.hidden, self.classes]
        return list(zip(widths, widths[1:]))

    def operations(self) -> float:
        """Floating-point operations of training one model.

        2 for each record, input and output of a layer (of a convolution: for each pixel of
        its output and weight of a filter), forward and for the weights' gradient; and for
        the inputs' gradient, which the first layer does not need.
        """
        layers = []
        if self.image:
            side, inputs = self.image.side, 1
            for outputs in self.image.channels:
                side += 1 - self.image.filter
                layers.append(side**2 * self.image.filter**2 * inputs * outputs)
                side //= self.image.pool
                inputs = outputs
        layers += [inputs * outputs for inputs, outputs in self.dense_layers]
        return 2.0 * (3 * sum(layers) - layers[0]) * self.rows * self.epochs


def workloads() -> dict[str, Workload]:
    described = json.loads((Path(__file__).parent / "workloads.json").read_text())
    for fields in described.values():
        if fields["image"]:
            fields["image"] = Image(**fields["image"])
    return {name: Workload(**fields) for name, fields in described.items()}
