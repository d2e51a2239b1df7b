"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

`make test-lowest` installs them. There is no second list: a minimum that rises in
pyproject.toml rises here.
"""

import re
import tomllib
from pathlib import Path


def minimums(table):
    """Return each requirement with a minimum, as ``name==version``.

    Those with an exact version (the tools of the extra ``lint``) have none.
    """
    project = table["project"]
    extras = project["optional-dependencies"]
    requirements = table["build-system"]["requires"] + project["dependencies"]
    found = {}
    for line in [*requirements, *(line for extra in extras.values() for line in extra)]:
        match = re.fullmatch(r"([\w-]+)(>=|==)([\w.]+)", line)
        if match is None:
            raise ValueError(
                f"got the requirement {line!r}, but expected name>=version or "
                "name==version: what is its minimum?"
            )
        name, operator, version = match.groups()
        if operator == ">=" and found.setdefault(name, version) != version:
            raise ValueError(
                f"got the minimums {found[name]} and {version} of {name}, but expected "
                "one"
            )
    return [f"{name}=={version}" for name, version in sorted(found.items())]


if __name__ == "__main__":
    path = Path(__file__).parents[1] / "pyproject.toml"
    print("\n".join(minimums(tomllib.loads(path.read_text()))))
