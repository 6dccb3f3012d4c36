"""SavedModels as TensorFlow writes them: `python -m tests.retrieval.models.modules KIND FOLDER`, in its own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SIDE = 32
MARK = b"\x08\x03"  # what a TF1-Hub module carries in tfhub_module.pb: its format, 3


def network(tf: Any, pixels: Any, variables: list[Any]) -> tuple[Any, Any]:
    """Two convolutions and a projection: an inner endpoint, and the embedding."""
    first, second, matrix, bias = variables
    hidden = tf.nn.relu(tf.nn.conv2d(pixels, first, 2, "SAME"))
    hidden = tf.nn.relu6(tf.nn.conv2d(hidden, second, 2, "SAME"))
    pooled = tf.reduce_mean(hidden, [1, 2])
    return pooled, tf.matmul(pooled, matrix) + bias


def make_variables(tf: Any, make: Any) -> list[Any]:
    """The weights, the same each time."""
    shapes = ((5, 5, 3, 16), (3, 3, 16, 24), (24, 256), (256,))
    return [
        make(tf.random.stateless_normal(shape, seed=(7, number)), f"weights{number}")
        for number, shape in enumerate(shapes)
    ]


def write_tf1_hub(folder: Path) -> None:
    """A TF1-Hub module: signatures `default` and `image_feature_vector`, tags {} and {'train'}, and the mark."""
    import tensorflow as tf

    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(folder))
    for tags in ([], ["train"]):
        with v1.Graph().as_default(), v1.Session() as session:
            images = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], "images")
            variables = make_variables(tf, lambda value, name: v1.get_variable(name, initializer=value))
            pooled, rows = network(tf, images, variables)
            info = v1.saved_model.build_tensor_info
            signature = v1.saved_model.build_signature_def(
                {"images": info(images)}, {"pooled/endpoint": info(pooled), "default": info(rows)}, "default"
            )
            session.run(v1.global_variables_initializer())
            signatures = {"default": signature, "image_feature_vector": signature}
            if not tags:
                builder.add_meta_graph_and_variables(session, tags, signatures)
            else:
                builder.add_meta_graph(tags, signatures)
    builder.save()
    (folder / "tfhub_module.pb").write_bytes(MARK)


def write_tf2(folder: Path) -> None:
    """A TF2 SavedModel with one serving signature."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = make_variables(tf, lambda value, name: tf.Variable(value, name=name))

    def serve(images: Any) -> dict[str, Any]:
        return {"embedding": network(tf, images, module.weights)[1]}

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "images")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def write_refused(folder: Path) -> None:
    """A TF2 SavedModel with an operation that OpenVINO has no word for."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = make_variables(tf, lambda value, name: tf.Variable(value, name=name))

    def serve(images: Any) -> dict[str, Any]:
        rows = network(tf, images, module.weights)[1]
        return {"embedding": tf.math.lgamma(tf.abs(rows) + 1.0) + tf.cast(tf.strings.length(["abc"]), tf.float32)}

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "images")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


if __name__ == "__main__":
    {"tf1": write_tf1_hub, "tf2": write_tf2, "refused": write_refused}[sys.argv[1]](Path(sys.argv[2]))
