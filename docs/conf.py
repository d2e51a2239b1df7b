"""Sphinx configuration. The site builds offline: no inventory is downloaded."""

import re

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
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# benchmarks/ holds parts that benchmarks.rst and benchmark_notebook.rst include, no
# pages.
exclude_patterns = ["_build", "_templates", "benchmarks/*"]
default_role = "literal"
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

html_theme = "pydata_sphinx_theme"
html_title = "scikit-generative"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# A page that has no pages under it needs no empty column on its left.
html_sidebars = {name: [] for name in ("index", "api", "design", "changelog")}


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
