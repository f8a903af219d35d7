"""Make the Keras files of this folder and what Keras computes with them.

Run once, where keras and torch are installed (keras 3.15.1 made these):
``KERAS_BACKEND=torch python make.py``.
"""

import json
import os
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

HERE = Path(__file__).parent
INPUT, UNITS, TIME, BATCH = 3, 4, 5, 2

layers = keras.layers
LAYERS = {
    "lstm": lambda **o: layers.LSTM(UNITS, **o),
    "lstm_without_bias": lambda **o: layers.LSTM(UNITS, use_bias=False, **o),
    "gru": lambda **o: layers.GRU(UNITS, **o),
    "gru_reset_before": lambda **o: layers.GRU(UNITS, reset_after=False, **o),
    "gru_without_bias": lambda **o: layers.GRU(UNITS, use_bias=False, **o),
    "gru_before_without_bias": lambda **o: layers.GRU(
        UNITS, reset_after=False, use_bias=False, **o
    ),
    "tanh": lambda **o: layers.SimpleRNN(UNITS, **o),
    "relu": lambda **o: layers.SimpleRNN(UNITS, activation="relu", **o),
}
#: what cannot be imported
OTHERS = {
    "hard_gates": lambda: layers.LSTM(UNITS, recurrent_activation="hard_sigmoid"),
    "softsign": lambda: layers.SimpleRNN(UNITS, activation="softsign"),
    "backwards": lambda: layers.GRU(UNITS, go_backwards=True),
    "summed": lambda: layers.Bidirectional(layers.LSTM(UNITS), merge_mode="sum"),
    "around_a_cell": lambda: layers.RNN(layers.LSTMCell(UNITS)),
}


def randomise(model, random):
    model.set_weights([0.8 * random.standard_normal(w.shape) for w in model.get_weights()])


def save(model, path):
    """As Keras saves it, but compressed."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def main():
    random = np.random.default_rng(0)
    x = random.standard_normal((BATCH, TIME, INPUT)).astype(np.float32)
    source = keras.Input((None, INPUT))
    outputs = {}
    for name, make in LAYERS.items():
        outputs[name] = make(return_sequences=True, name=name)(source)
        both = layers.Bidirectional(make(return_sequences=True), name=f"both_{name}")
        outputs[f"both_{name}"] = both(source)
    inner = keras.Sequential([keras.Input((None, INPUT)), layers.LSTM(2, name="inside")])
    model = keras.Model(source, [*outputs.values(), inner(source)])
    randomise(model, random)
    save(model, HERE / "layers.keras")
    values = dict(zip(outputs, model(x), strict=False))
    numbers = {name: keras.ops.convert_to_numpy(y).tolist() for name, y in values.items()}
    numbers["x"] = x.tolist()
    (HERE / "outputs.json").write_text(json.dumps(numbers))

    others = keras.Model(source, [layer(source) for layer in _named(OTHERS)])
    save(others, HERE / "others.keras")


def _named(makers):
    for name, make in makers.items():
        layer = make()
        layer.name = name
        yield layer


if __name__ == "__main__":
    main()
