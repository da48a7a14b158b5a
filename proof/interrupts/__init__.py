"""How soon a call hears Ctrl-C, on every path through the kernels."""
