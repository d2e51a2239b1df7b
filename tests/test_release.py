"""What a release tells about itself."""

import pkgutil
import re
import runpy
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from packaging.version import Version

import skgen

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_citation_is_that_of_the_version():
    (version,) = re.findall(
        r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE
    )
    assert version == skgen.__version__


def links(text):
    return re.findall(r"\]\((.+?)\)", text)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_the_repository_lead_to_files(page):
    for link in links((ROOT / page).read_text()):
        if not link.startswith("https://"):
            assert (ROOT / link).exists(), link


def test_links_of_the_wheel_lead_to_pages_of_the_site():
    """The substitutions of pyproject.toml leave no link to a file of the repository."""
    text = README.read_text()
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for rule in hook["substitutions"]:
        text, n_replaced = re.subn(rule["pattern"], rule["replacement"], text)
        assert n_replaced, f"{rule['pattern']} is not needed"
    site = PROJECT["project"]["urls"]["Documentation"] + "/en/stable/"
    assert links(text)
    for link in links(text):
        page = link.removeprefix(site)
        assert page != link, link
        sources = [
            ROOT / "docs" / page,
            (ROOT / "docs" / page).with_suffix(".rst"),
            (ROOT / "examples" / Path(page).name).with_suffix(".py"),
        ]
        assert any(source.exists() for source in sources), link


def test_the_tested_versions_are_not_below_the_minimums():
    """And each requirement has a minimum, that `make test-lowest` can install."""
    script = runpy.run_path(str(ROOT / ".ci" / "lowest_versions.py"))
    minimum = dict(line.split("==") for line in script["minimums"](PROJECT))
    assert {"numpy", "scikit-learn", "skorch", "torch", "matplotlib"} <= set(minimum)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    for name in set(minimum) & set(tested):
        assert Version(minimum[name]) <= Version(tested[name]), name


@pytest.mark.parametrize("line", ["numpy", "numpy<3", "numpy>=2,<3", "numpy>=1.9"])
def test_a_requirement_without_a_single_minimum_is_an_error(line):
    script = runpy.run_path(str(ROOT / ".ci" / "lowest_versions.py"))
    project = {"dependencies": ["numpy>=2.0", line], "optional-dependencies": {}}
    with pytest.raises(ValueError, match=r"numpy.*expected"):
        script["minimums"]({"build-system": {"requires": []}, "project": project})


PUBLIC = [m.name for m in pkgutil.iter_modules(skgen.__path__) if m.name[0] != "_"]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module):
    pages = [ROOT / "docs" / page for page in ("api.rst", "building_blocks.rst")]
    listed = "\n".join(page.read_text() for page in pages)
    module = import_module(f"skgen.{module}")
    names = [n for n in getattr(module, "__all__", []) if callable(getattr(module, n))]
    assert [n for n in names if not re.search(rf"^\s+{n}$", listed, re.M)] == []
