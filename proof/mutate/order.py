"""Which tests are likely to notice a fault in a file, the likeliest first."""

from pathlib import Path

FORWARD = (
    "test_special_values test_same_bits test_accuracy test_columns test_axes test_halves "
    "test_dtypes test_where test_out test_warnings test_memory_safety test_shared_row test_cache "
    "test_workers test_threads_and_interrupts"
)
BACKWARD = (
    "test_gradients_special_values test_gradients_end_of_range test_gradients_beside_floor "
    "test_gradients_accuracy test_gradients_same_bits test_gradients_arguments "
    "test_gradients_calculus test_gradients_properties test_memory_safety test_cache test_workers "
    "test_gradients_threads_and_interrupts"
)
LOSSES = (
    "test_cross_entropy_special_values test_cross_entropy_accuracy test_cross_entropy_same_bits "
    "test_cross_entropy_arguments test_cross_entropy_memory test_cross_entropy_properties "
    "test_cross_entropy_masked test_memory_safety test_workers "
    "test_gradients_threads_and_interrupts"
)
STATES = (
    "test_state test_state_same_bits test_state_accuracy test_state_machine test_memory_safety "
    "test_interrupts"
)

ORDER = {
    "__main__.py": "test_import",
    "_arguments.py": "test_axes test_out test_where test_dtypes test_containers test_weights "
    "test_cross_entropy_arguments test_gradients_arguments test_differences_from_scipy",
    "_cache.py": "test_cache",
    "_loss_coefficients.py": LOSSES,
    "_cpu_count.py": "test_workers",
    "_cross_entropy.py": LOSSES,
    "_forward.py": "test_axes test_out test_signatures test_where test_weights test_workers",
    "_gradient_formulas.py": "test_numpy_path test_gradients_masked test_gradients_arguments "
    "test_gradients_special_values",
    "_gradients.py": "test_gradients_arguments test_gradients_special_values test_signatures",
    "_invalid.py": "test_warnings",
    "_layout.py": "test_same_bits test_axes test_out test_workers test_gradients_same_bits "
    "test_cross_entropy_same_bits test_memory_use",
    "_logsumexp_gradients.py": "test_gradients_arguments test_signatures",
    "_loss_options.py": "test_cross_entropy_masked test_cross_entropy_arguments "
    "test_cross_entropy_special_values",
    "_loss_sum.py": "test_cross_entropy_same_bits test_cross_entropy_special_values test_workers "
    "test_cross_entropy_memory",
    "_losses.py": "test_cross_entropy_arguments test_cross_entropy_special_values "
    "test_cross_entropy_same_bits test_signatures test_workers",
    "_normalize.py": "test_axes test_out test_where test_warnings test_containers test_numpy_path",
    "_normalize_gradient.py": "test_gradients_masked test_gradients_arguments "
    "test_gradients_special_values test_workers",
    "_numpy_path.py": "test_numpy_path test_weights test_where test_warnings",
    "_packed_row.py": "test_packed_row test_workers",
    "_packing.py": "test_same_bits test_out test_halves test_dtypes test_gradients_same_bits "
    "test_cross_entropy_same_bits test_workers test_memory_use test_threads_and_interrupts",
    "_pieces.py": STATES,
    "_reduce.py": "test_weights test_axes test_out test_where test_warnings test_dtypes "
    "test_memory_use",
    "_reduce_gradient.py": "test_gradients_arguments test_gradients_special_values "
    "test_gradients_masked test_gradients_accuracy test_gradients_calculus "
    "test_gradients_same_bits test_workers",
    "_shared_cross_entropy.py": "test_shared_cross_entropy test_workers",
    "_shared_gradient.py": "test_shared_gradient test_workers",
    "_shared_logsumexp.py": "test_shared_logsumexp test_workers",
    "_shared_row.py": "test_shared_row test_workers",
    "_sharing.py": "test_workers test_threads_and_interrupts test_shared_row",
    "_state.py": STATES,
    "_target.py": "test_import",
    "_loss_targets.py": "test_cross_entropy_masked test_cross_entropy_arguments "
    "test_cross_entropy_special_values",
    "_weighted.py": "test_weights test_long_weighted_rows test_warnings",
    "_weighted_gradient.py": "test_gradients_special_values test_gradients_accuracy "
    "test_long_weighted_rows test_gradients_far_apart test_gradients_arguments "
    "test_gradients_calculus",
    "_where.py": "test_where test_containers test_gradients_masked",
    "_workers.py": "test_workers test_signatures",
    "kernels/cross_entropy": LOSSES,
    "kernels/gradients": BACKWARD,
    "states.pxd": STATES,
    "shared_cross_entropy.pxd": "test_shared_cross_entropy test_workers",
    "shared_gradient.pxd": "test_shared_gradient test_workers",
    "shared_logsumexp.pxd": "test_shared_logsumexp test_workers",
    "shared_row.pxd": "test_shared_row test_packed_row test_workers",
    "shared_row.pxi": "test_shared_row test_packed_row test_workers",
    "halves.pxd": "test_halves test_gradients_same_bits test_cross_entropy_same_bits test_dtypes",
    "elementary.pxd": "test_weights test_numpy_path",
    ".pxi": "test_special_values test_same_bits test_axes test_gradients_arguments "
    "test_gradients_same_bits test_cross_entropy_arguments test_cross_entropy_same_bits test_state "
    "test_halves test_warnings test_out test_containers test_memory_safety test_workers "
    "test_threads_and_interrupts test_gradients_threads_and_interrupts",
}


def likely(path):
    """The tests to run first for a fault in this file: by name, folder, or kind of file."""
    path = Path(path)
    keys = path.name, "/".join(path.parts[-3:-1]), path.suffix
    chosen = next((ORDER[key] for key in keys if key in ORDER), FORWARD)
    return tuple(f"tests/{test}.py" for test in chosen.split())


# They need other programs or minutes, or import the package before there is a mutation.
LEFT_OUT = [
    "test_benchmark_grid",
    "test_built_objects",
    "test_command_line",
    "test_documentation",
    "test_examples",
    "test_forks",
    "test_scipys_own_tests",
]


def every(root):
    """All tests that can be collected once for all mutations."""
    files = sorted((root / "tests").glob("test_*.py"))
    return tuple(f"tests/{path.name}" for path in files if path.stem not in LEFT_OUT)
