"""Complete an image's bill of materials (CycloneDX) with the packages of its base."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

_FIELD = re.compile(r"^(Package|Version|Architecture): (.+)$", re.MULTILINE)


def complete(python: str, debian: str, *, image: str, version: str) -> str:
    """Return the bill of an image as JSON.

    Args:
        python: bill of the Python environment, as cyclonedx-py wrote it into the image.
        debian: records of the Debian packages in dpkg's format, with an empty line between two.
    """
    bill: dict[str, Any] = json.loads(python)
    bill.setdefault("metadata", {})["component"] = {
        "type": "container",
        "bom-ref": f"tongban-{image}",
        "name": f"tongban-{image}",
        "version": version,
    }
    for record in filter(None, debian.split("\n\n")):
        fields = dict(_FIELD.findall(record))
        package, release = fields["Package"], fields["Version"]
        architecture = fields["Architecture"]
        url = f"pkg:deb/debian/{package}@{quote(release, safe='')}?arch={architecture}"
        bill["components"].append(
            {
                "type": "library",
                "bom-ref": url,
                "name": package,
                "version": release,
                "purl": url,
            }
        )
    return json.dumps(bill, indent=1, sort_keys=True) + "\n"
