"""What the product costs, measured side by side in one run: ``python -m benchmarks``."""
