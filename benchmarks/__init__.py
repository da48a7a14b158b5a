"""Time and accuracy of fastsoftmax beside other libraries: ``python -m benchmarks``."""
