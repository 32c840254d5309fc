"""No file of the package needs itself: a chain of imports that comes back is a wrong cut between two files."""

import graphlib

import grimp
import pytest


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports, also inside functions and for types alone."""
    graph = grimp.build_graph("longtail", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_there_is_no_circle_of_imports(imports: dict[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail("circle: " + " -> ".join(reversed(error.args[1])))


def test_the_whole_package_is_looked_at_and_imports_inside_functions_count(imports: dict[str, set[str]]) -> None:
    rooms = {module.split(".")[1] for module in imports if "." in module}
    assert {"contracts", "registry", "tables", "components", "pipelines"} <= rooms
    assert (
        "longtail.registry.kubeflow" in imports["longtail.registry.opening"]
    )  # which only an address of its form loads
    assert "longtail.components.finetune.finetune" in imports["longtail.components.finetune.component"]
