"""Numbers about tensors, read from any `TensorSource` in parts. numpy inside functions only, never torch."""
