"""The suite itself: every slow test has a fast twin."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def smaller(name, slow, fast, *others, also=()):
    """Entries of a test whose size is its last parameter, for each of the others."""
    return {f"{name}[{p}-{slow}]": [f"{name}[{p}-{fast}]", *also] for p in others}


# Each slow test, and the fast ones that fail for the same mistakes in the code. Without
# parameters a name stands for all tests of the function.
TWINS = {
    "training/test_processes.py::test_gradients_of_four_processes_are_those_of_one": [
        "training/test_processes.py::test_gradients_are_those_of_one_process"
    ],
    "training/test_processes.py"
    "::test_all_processes_have_the_same_model_in_every_family": [
        "training/test_processes.py::test_all_processes_have_the_same_model"
    ],
    "test_clusters.py::test_dask_finds_what_loky_finds_though_a_worker_is_killed": [
        "test_contract_faults.py::test_workers_in_threads_agree",
    ],
    "test_clusters.py::test_the_example_of_a_cluster": [
        "test_contract_faults.py::test_workers_in_threads_agree",
    ],
    "test_clusters.py::test_ray_finds_what_loky_finds_though_a_worker_is_killed": [
        "test_contract_faults.py::test_workers_in_threads_agree",
    ],
    "test_memory_of_data.py::test_a_fit_holds_no_copy": [
        "base/test_intake.py::test_a_tensor_is_not_copied",
        "test_contract_data.py::test_valid_data_are_the_memory_of_the_user",
    ],
    "base/test_resume.py::test_fits_that_are_killed_at_random_moments": [
        "base/test_resume.py::test_bits_of_a_fit_that_went_on",
        "base/test_resume.py::test_two_fits_that_are_killed",
    ],
    "test_generated_inputs.py::test_many_tables": [
        "test_generated_inputs.py::test_tables",
    ],
    "test_generated_inputs.py::test_many_parameters": [
        "test_generated_inputs.py::test_parameters",
    ],
    "test_generated_inputs.py::test_many_calls": [
        "test_generated_inputs.py::test_calls",
    ],
    "test_contract_faults.py::test_two_hundred_fits_leave_nothing": [
        "test_contract_faults.py::test_fits_leave_nothing",
    ],
    "test_contract_faults.py::test_workers_of_all_backends_agree": [
        "test_contract_faults.py::test_workers_in_threads_agree",
    ],
    "base/test_export.py::test_any_number_of_rows_by_one_graph": [
        "base/test_export.py::test_there_are_no_branches_on_data",
    ],
    "base/test_export.py::test_an_onnx_file_computes_what_the_estimator_does": [
        "base/test_export.py::test_a_module_computes_what_the_estimator_does",
    ],
    "test_types.py::test_a_checker_sees_the_estimators[mypy]": [
        "test_types.py::test_fit_returns_self",
        "test_types.py::test_every_parameter_has_a_type",
    ],
    "test_types.py::test_a_checker_sees_the_estimators[pyright]": [
        "test_types.py::test_fit_returns_self",
        "test_types.py::test_every_parameter_has_a_type",
    ],
    "vae/test_defaults.py::test_clusters_on_a_circle": [
        "vae/test_defaults.py::test_why_the_posterior_collapses"
    ],
    "vae/test_defaults.py::test_early_stopping_waits": [
        "vae/test_defaults.py::test_early_stopping_waits_in_steps"
    ],
    "vae/test_defaults.py::test_no_worse_than_pca": [
        "vae/test_defaults.py::test_no_worse_than_pca_after_a_part_of_the_steps[iris]"
    ],
    "vae/test_end_of_fit.py::test_spread_of_samples_of_digits": [
        "vae/test_end_of_fit.py::test_samples_have_at_least_seven_tenths_of_the_spread"
    ],
    "energy/test_partition.py::test_brackets_hold_as_often_as_stated[25-30]": [
        "energy/test_partition.py::test_brackets_hold_as_often_as_stated[7-10]"
    ],
    "rbm/test_gaussian_partition.py::test_annealing_of_fifty_machines": [
        "rbm/test_gaussian_partition.py::test_annealing_of_few_machines"
    ],
    "rbm/test_learning.py::test_bars_and_stripes[1]": [
        "rbm/test_learning.py::test_bars_and_stripes[0]"
    ],
    "rbm/test_learning.py::test_bars_and_stripes[2]": [
        "rbm/test_learning.py::test_bars_and_stripes[0]"
    ],
    "rbm/test_learning.py::test_features_of_nudged_digits[100-1-0.94]": [
        "rbm/test_learning.py::test_features_of_nudged_digits[100-3-0.9]"
    ],
    "rbm/test_learning.py::test_features_of_nudged_digits[200-1-0.945]": [
        "rbm/test_learning.py::test_features_of_nudged_digits[100-3-0.9]"
    ],
    "rbm/test_learning.py::test_the_centered_gradient_helps": [
        "rbm/test_contrastive_divergence.py"
        "::test_centered_gradient_is_the_plain_one_in_other_coordinates",
        "rbm/test_learning.py::test_bars_and_stripes[0]",
    ],
    "rbm/test_optimum.py::test_bars_and_stripes_of_four": [
        "rbm/test_optimum.py::test_bars_and_stripes_of_three"
    ],
    "rbm/test_optimum.py::test_ising_at_the_critical_temperature": [
        "rbm/test_optimum.py::test_ising_from_fewer_samples"
    ],
    "rbm/test_optimum.py::test_labelled_shifter": [
        "rbm/test_optimum.py::test_labelled_shifter_of_three_bits"
    ],
    "rbm/test_optimum.py::test_observables_of_samples_of_ising": [
        "rbm/test_optimum.py::test_observables_of_fewer_samples_of_ising"
    ],
    "rbm/test_partition.py::test_exact_of_mnist_size_takes_seconds[20]": [
        "rbm/test_partition.py::test_exact_of_mnist_size_takes_seconds[14]"
    ],
    "rbm/test_partition_annealed.py"
    "::test_bracket_holds_the_exact_value_as_often_as_stated[50]": [
        "rbm/test_partition_annealed.py"
        "::test_bracket_holds_the_exact_value_as_often_as_stated[24]",
        "rbm/test_partition_annealed.py::test_brackets_are_narrow[24]",
    ],
    "rbm/test_partition_annealed.py::test_brackets_are_narrow[50]": [
        "rbm/test_partition_annealed.py::test_brackets_are_narrow[24]"
    ],
    "rbm/test_partition_annealed.py"
    "::test_single_precision_sums_in_double[10000-20-0.01]": [
        "rbm/test_partition_annealed.py"
        "::test_single_precision_sums_in_double[500-12-0.05]"
    ],
    "rbm/test_partition_annealed.py::test_standard_error_is_calibrated[50]": [
        "rbm/test_partition_annealed.py::test_standard_error_is_calibrated[24]"
    ],
    "rbm/test_sampling.py::test_law_of_tempering_along_the_trajectory[20000]": [
        "rbm/test_sampling.py::test_law_of_tempering_along_the_trajectory[3000]"
    ],
    "impute/test_default_imputer.py::test_lower_error_by_default": [
        "impute/test_default_imputer.py"
        "::test_lower_error_than_scikit_learns_imputers_on_wine"
    ],
    "test_impute.py::test_lower_error_than_scikit_learns_imputers": [
        "test_impute.py::test_lower_error_than_neighbours"
    ],
    "vae/test_conditional_learning.py::test_linear_of_digits": [
        "vae/test_conditional.py"
        "::test_linear_model_reaches_the_closed_form_by_training[labels]"
    ],
    "vae/test_conditional_learning.py::test_networks_of_digits": [
        "vae/test_conditional_learning.py::test_networks_of_iris"
    ],
    "vae/test_learning.py::test_grid_search_beats_pca": [
        "vae/test_learning.py::test_layers_latents_and_noise_beat_pca"
    ],
    "vae/test_learning.py::test_linear_reaches_probabilistic_pca[digits]": [
        "vae/test_learning.py::test_linear_reaches_probabilistic_pca[wine]"
    ],
    "vae/test_learning.py"
    "::test_linear_with_a_variance_a_feature_reaches_factor_analysis[cancer]": [
        "vae/test_learning.py"
        "::test_linear_with_a_variance_a_feature_reaches_factor_analysis[wine]"
    ],
    "vae/test_learning.py"
    "::test_linear_with_a_variance_a_feature_reaches_factor_analysis[digits]": [
        "vae/test_learning.py"
        "::test_linear_with_a_variance_a_feature_reaches_factor_analysis[wine]"
    ],
    **smaller(
        "likelihood/test_estimate.py::test_standard_error_is_calibrated",
        *(300, 100),
        *("shape0-0.3", "shape0-1.0", "shape0-2.0"),
        *("shape1-0.3", "shape1-1.0", "shape1-2.0"),
    ),
    **smaller(
        "likelihood/test_estimate.py::test_bracket_holds_the_truth_as_often_as_stated",
        *(300, 100),
        *("0.3-False", "1.0-False", "3.0-False", "0.3-True", "1.0-True", "3.0-True"),
        also=[
            "likelihood/test_estimate.py::test_ends_are_those_of_intervals_of_95_percent"
        ],
    ),
    **smaller(
        "sampling/test_bits.py::test_small_probabilities_are_not_lost",
        *(27, 24),
        *("words-1e-06", "words-1e-05", f"words-{2.0**-17}"),
        *("uniforms-1e-06", "uniforms-1e-05", f"uniforms-{2.0**-17}"),
    ),
    **smaller("test_datasets.py::test_ising_energy", 8, 5, 1.5, 2.269185, 4.0),
}

COLLECT = """
import json
import sys
from pathlib import Path

import pytest


class Found:
    def pytest_collection_finish(self, session):
        names = {item.nodeid: "slow" in item.keywords for item in session.items}
        Path(sys.argv[1]).write_text(json.dumps(names))


# Nothing runs: assertions need not be rewritten.
options = ["--collect-only", "-qq", "-p", "no:cacheprovider", "--assert=plain"]
options += sys.argv[2:]
sys.exit(pytest.main(options, plugins=[Found()]))
"""


def has_all_files(config, collected):
    """Whether a run found the tests of each file of this folder, and all of a file."""
    files = {path.relative_to(TESTS.parent) for path in TESTS.rglob("test_*.py")}
    found = {Path(name.partition("::")[0]) for name in collected}
    return files <= found and not any("::" in arg for arg in config.args)


@pytest.fixture(scope="module")
def is_slow(request, collected, tmp_path_factory):
    """All tests of this folder by name, those with their parameters left out as well.

    If this run is of a part of them, a process of its own collects them.
    """
    if not has_all_files(request.config, collected):
        found = tmp_path_factory.mktemp("suite") / "found.json"
        subprocess.run(
            [sys.executable, "-c", COLLECT, str(found), str(TESTS)],
            check=True,
            cwd=TESTS.parent,
            stdout=subprocess.DEVNULL,
        )
        collected = json.loads(found.read_text())
    whole = {
        name.removeprefix("tests/"): slow
        for name, slow in collected.items()
        if name.startswith("tests/")
    }
    functions = {}
    for name, slow in whole.items():
        functions.setdefault(name.partition("[")[0], []).append(slow)
    return functions, whole


def matching(name, is_slow):
    """Whether each test of that name is slow."""
    functions, whole = is_slow
    return [whole[name]] if name in whole else functions.get(name, [])


def test_every_slow_test_has_a_twin(is_slow):
    slow = {name for name, is_slow in is_slow[1].items() if is_slow}
    assert slow
    without = {n for n in slow if not {n, n.partition("[")[0]} & TWINS.keys()}
    assert without == set()


def test_every_entry_is_of_slow_tests(is_slow):
    assert [n for n in TWINS if not matching(n, is_slow)] == [], "no such test"
    assert [n for n in TWINS if not all(matching(n, is_slow))] == [], "not slow"


def test_twins_exist_and_are_fast(is_slow):
    assert all(TWINS.values())
    twins = {twin for several in TWINS.values() for twin in several}
    assert [n for n in twins if not matching(n, is_slow)] == [], "no such test"
    assert [n for n in twins if any(matching(n, is_slow))] == [], "slow"
