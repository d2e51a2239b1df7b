"""Sphinx configuration.

The site builds and is read offline: no inventory is downloaded, and MathJax is a part
of it.
"""

import os
import re
from importlib.metadata import distribution

# sphinx-gallery looks up what an example imports; this name exists on request only.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

import skgen

project = "scikit-generative"
author = "The skgen developers"
copyright = author
version = release = skgen.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# benchmarks/ holds parts that benchmarks.rst and benchmark_notebook.rst include, no
# pages.
exclude_patterns = ["_build", "_templates", "benchmarks/*"]
default_role = "literal"
# A link that leads nowhere is a warning, and fails the build.
nitpicky = True
# Types in docstrings of skorch and scikit-learn, and words of numpydoc, are no links.
nitpick_ignore_regex = [("py:.*", r"(?!skgen\.).*")]
toc_object_entries_show_parents = "hide"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skgen",),
    "ignore_pattern": r"(^|/)benchmarks/",
    # A figure says it all.
    "ignore_repr_types": r"matplotlib|Display",
    "show_memory": False,
    "write_computation_times": False,
}

# Of MathJax one file, which draws formulas as SVG and needs no fonts.
_mathjax = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline")
html_static_path = ["_static", str(_mathjax / "static" / "mathjax" / "tex-svg.js")]
html_css_files = ["skgen.css"]
mathjax_path = "tex-svg.js"
# Explanations for screen readers would be loaded from files that are not there.
mathjax3_config = {"options": {"enableMenu": False, "enableAssistiveMml": True}}

# Prompts and outputs are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "scikit-generative"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 6,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Where versions stand side by side, a menu changes between them.
if os.environ.get("READTHEDOCS"):
    html_theme_options["switcher"] = {
        "json_url": "https://scikit-generative.readthedocs.io/en/latest/_static/"
        "switcher.json",
        "version_match": os.environ.get("READTHEDOCS_VERSION", version),
    }
    html_theme_options["check_switcher"] = False
    html_theme_options["navbar_end"] = [
        *("version-switcher", "theme-switcher", "navbar-icon-links")
    ]
# A page that has no pages under it needs no empty column on its left.
html_sidebars = {
    name: []
    for name in (
        *("index", "install", "api", "building_blocks", "comparison", "design"),
        *("adding_a_family", "policy", "changelog"),
    )
}


def _unlink_scikit_learn(*args):
    """Turn references into scikit-learn's own documentation into plain text.

    Inherited docstrings (`set_params`, `set_output`, …) have them; they lead
    nowhere on this site.
    """
    lines = args[-1]
    for i, line in enumerate(lines):
        line = re.sub(r":(?:ref|term):`([^`<]+?)\s*<[^`>]+>`", r"\1", line)
        lines[i] = re.sub(r":(?:ref|term):`([^`]+)`", r"``\1``", line)


def setup(app):
    # Before numpydoc, which reads the same lines.
    app.connect("autodoc-process-docstring", _unlink_scikit_learn, priority=400)
