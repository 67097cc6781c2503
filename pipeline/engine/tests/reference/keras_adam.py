"""Keras' Adam, whose eps is added before the correction of the mean square, in double precision: the formula, checked against Keras
itself. Writes keras.json.

    pip install keras tensorflow-cpu && python keras_adam.py
"""

import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np

keras.backend.set_floatx("float64")
rng = np.random.default_rng(0)
initial = rng.normal(size=5)
# Gradients around the size of eps, where its place matters.
gradients = rng.normal(size=(12, 5)) * np.array([1.0, 1e-3, 1e-5, 1e-6, 1e-7])
weights = keras.Variable(initial)
optimizer = keras.optimizers.Adam(learning_rate=0.001)
optimizer.build([weights])
after = []
w, m, v = initial.copy(), np.zeros(5), np.zeros(5)
for t, gradient in enumerate(gradients, start=1):
    before, theirs_before = w.copy(), weights.numpy()
    m = m + (gradient - m) * (1 - 0.9)
    v = v + (gradient**2 - v) * (1 - 0.999)
    w = w - 0.001 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    after.append(w.tolist())
    # Keras rounds its betas to single precision on the way, so that its updates agree to about 1e-5 of themselves.
    optimizer.apply_gradients([(keras.ops.convert_to_tensor(gradient), weights)])
    theirs = weights.numpy()
    assert np.allclose(theirs - theirs_before, w - before, rtol=3e-5, atol=1e-8), (t, theirs - theirs_before, w - before)
case = {
    "name": "adam as Keras has it",
    "optimizer": "adam",
    "config": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-7, "eps_hat": True, "weight_decay": 0.0},
    "lr": [0.001] * 12,
    "initial": initial.tolist(),
    "gradients": gradients.tolist(),
    "weights": after,
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras.json"), "w") as file:
    json.dump([case], file)
    file.write("\n")
