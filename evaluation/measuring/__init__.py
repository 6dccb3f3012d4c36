"""What is measured: leave-one-out, nested cross-validation, metrics, ablations."""
