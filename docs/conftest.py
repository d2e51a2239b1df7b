"""``pytest --doctest-glob='*.rst' docs`` runs what the pages show, nothing else."""

collect_ignore = [
    *("_build", "auto_examples", "benchmarks", "generated"),
    *("check_links.py", "conf.py"),
]
