"""The grid: every shape, dtype and operation against the best of the other libraries."""
