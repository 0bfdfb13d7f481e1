"""Makes the ONNX models of this folder, and what Python's onnxruntime answers to them.

Two environments, because PyTorch is large; versions.txt has the versions that were used:

    python generate.py network     # torch, onnx, onnxscript, numpy, scikit-learn
    python generate.py             # scikit-learn, skl2onnx, onnx, onnxruntime, numpy, pandas

The first writes the networks, the second everything else and all expected outputs. Each
NAME.json has the questions, in the form in which the model takes them, and the outputs of
onnxruntime for them: float32 values, written so that they are read back exactly.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROWS = 64


def note_versions(names):
    from importlib.metadata import version

    path = HERE / "versions.txt"
    known = {}
    if path.exists():
        known = dict(line.split(" ", 1) for line in path.read_text().splitlines())
    known.update({name: version(name) for name in names})
    known["python"] = sys.version.split()[0]
    path.write_text("".join(f"{name} {known[name]}\n" for name in sorted(known)))


def digits():
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    return (features / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels


def networks():
    import torch

    torch.manual_seed(0)
    images, labels = digits()
    images, labels = torch.tensor(images), torch.tensor(labels)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    network.eval()

    def export(name, **options):
        torch.onnx.export(
            network, (images[:1],), HERE / name, input_names=["image"], output_names=["logits"],
            opset_version=18, external_data=False, **options,
        )

    batch = torch.export.Dim("batch")
    export("network.onnx", dynamo=True, dynamic_shapes=({0: batch},))
    export("network-one.onnx", dynamo=True)
    export("network-torchscript.onnx", dynamo=False, dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
    note_versions(["torch", "onnxscript"])


def numbers(array):
    return [float(value) for value in np.asarray(array, dtype=np.float32).ravel()]


def write(name, questions, classes, form, shape=None):
    """Asks onnxruntime and writes NAME.json. `questions`: column name -> values."""
    import onnxruntime

    session = onnxruntime.InferenceSession(HERE / f"{name}.onnx", providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) == 1:
        matrix = np.column_stack([np.asarray(values, dtype=np.float32) for values in questions.values()])
        matrix = matrix if shape is None else matrix.reshape(-1, *shape)
        batch = inputs[0].shape[0]
        step = batch if isinstance(batch, int) else len(matrix)
        asked = [{inputs[0].name: matrix[i : i + step]} for i in range(0, len(matrix), step)]
    else:
        types = {"tensor(string)": object, "tensor(int64)": np.int64, "tensor(float)": np.float32}
        columns = {}
        for entry, values in zip(inputs, questions.values(), strict=True):
            columns[entry.name] = np.asarray(values, dtype=types[entry.type]).reshape(-1, 1)
        asked = [columns]
    names = [output.name for output in session.get_outputs()]
    parts = [session.run(None, part) for part in asked]
    labels, outputs = None, None
    for i, output in enumerate(names):
        if isinstance(parts[0][i], list):  # ZipMap: a list of maps
            keys = sorted(parts[0][i][0])
            outputs = np.array([[row[key] for key in keys] for row in parts[0][i]])
        else:
            joined = np.concatenate([part[i] for part in parts])
            if joined.ndim == 1:
                labels = [str(value) for value in joined]
            else:
                outputs = joined
    rows = len(next(iter(questions.values())))
    assert outputs.shape == (rows, len(classes)), outputs.shape
    (HERE / f"{name}.json").write_text(
        json.dumps(
            {
                "form": form,
                "classes": [str(one) for one in classes],
                "questions": {column: list(values) for column, values in questions.items()},
                "outputs": numbers(outputs),
                "labels": labels,
            }
        )
        + "\n"
    )


def table_of(matrix):
    return {f"x{i}": numbers(column) for i, column in enumerate(np.asarray(matrix)[:ROWS].T)}


def sklearn_models():
    import pandas as pd
    from skl2onnx import convert_sklearn, to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.datasets import load_breast_cancer, load_wine
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    order = np.random.default_rng(0).permutation
    wine, cultivar = load_wine(return_X_y=True)
    cells, tumour = load_breast_cancer(return_X_y=True)
    shuffled = order(len(wine))
    wine, cultivar = wine[shuffled].astype(np.float32), cultivar[shuffled]
    shuffled = order(len(cells))
    cells, tumour = cells[shuffled].astype(np.float32), tumour[shuffled]
    # Texts whose order is not that of the codes: scikit-learn sorts them.
    named = np.array(["nebbiolo", "barbera", "grignolino"])[cultivar]

    def export(name, model, features, labels, zipmap=False, target_opset=None):
        model.fit(features, labels)
        onnx_model = to_onnx(model, features[:1], options={id(model): {"zipmap": zipmap}}, target_opset=target_opset)
        (HERE / f"{name}.onnx").write_bytes(onnx_model.SerializeToString())
        write(name, table_of(features), model.classes_, "encoded")

    forest = RandomForestClassifier(12, max_depth=5, random_state=0)
    export("forest", forest, wine, named)
    export("forest-zipmap", forest, wine, named, zipmap=True)
    export("boosting", GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=0), wine, cultivar)
    export("boosting-binary", GradientBoostingClassifier(n_estimators=12, max_depth=3, random_state=0), cells, tumour)
    export("logistic", LogisticRegression(max_iter=10_000), cells, tumour)
    export("logistic-classes", LogisticRegression(max_iter=10_000), wine, cultivar)
    export("mlp", MLPClassifier((16,), max_iter=400, random_state=0), wine / wine.max(axis=0), named)
    export("scaled", make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)), cells, tumour)

    # A table of texts and numbers, one input for each column.
    draw = np.random.default_rng(1)
    rows = 400
    frame = pd.DataFrame(
        {
            "age": draw.integers(17, 90, rows),
            "hours per-week": draw.normal(40, 12, rows).astype(np.float32),
            "work-class": draw.choice(["private", "state", "self", "état"], rows),
            "sex": draw.choice(["f", "m"], rows),
        }
    )
    odds = 0.05 * (frame["age"] - 40) + 0.04 * (frame["hours per-week"] - 40) + (frame["sex"] == "m") - 0.5
    income = np.where(draw.logistic(size=rows) < odds, ">50K", "<=50K")
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("numbers", StandardScaler(), ["age", "hours per-week"]),
                ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["work-class", "sex"]),
            ]
        ),
        LogisticRegression(),
    ).fit(frame, income)
    types = [
        ("age", Int64TensorType([None, 1])),
        ("hours per-week", FloatTensorType([None, 1])),
        ("work-class", StringTensorType([None, 1])),
        ("sex", StringTensorType([None, 1])),
    ]
    exported = convert_sklearn(pipeline, initial_types=types, options={id(pipeline): {"zipmap": False}})
    (HERE / "table.onnx").write_bytes(exported.SerializeToString())
    asked = frame.head(ROWS)
    write(
        "table",
        {
            "age": [int(value) for value in asked["age"]],
            "hours per-week": numbers(asked["hours per-week"]),
            "work-class": list(asked["work-class"]),
            "sex": list(asked["sex"]),
        },
        pipeline.classes_,
        "raw",
    )
    note_versions(["scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "pandas"])


def network_outputs():
    images, _ = digits()
    questions = table_of(images.reshape(len(images), -1))
    for name in ["network", "network-one", "network-torchscript"]:
        write(name, questions, range(10), "encoded", (1, 8, 8))


def odd_models():
    """What is refused or needs care: weights in another file, and labels without probabilities."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def save(name, nodes, inputs, outputs, initializers, **options):
        graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save_model(model, HERE / f"{name}.onnx", **options)

    weights = numpy_helper.from_array(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2), "weights")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    matmul = helper.make_node("MatMul", ["x", "weights"], ["y"])
    save(
        "external", [matmul], [x], [y], [weights],
        save_as_external_data=True, location="external.bin", size_threshold=0,
    )
    weights = numpy_helper.from_array(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2), "weights")
    label = helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])
    save("labels-only", [matmul, helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0)], [x], [label], [weights])


if __name__ == "__main__":
    if sys.argv[1:] == ["network"]:
        networks()
    else:
        sklearn_models()
        odd_models()
        network_outputs()
