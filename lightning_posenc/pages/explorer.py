"""The explorer: attention and position of a model in one HTML page that needs nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_posenc.pages.templates import HERE, environment, style
from lightning_posenc.runs import strict_json

NAME = "explorer.html"


def explorer(found: Mapping[str, Any]) -> str:
    """Make the page.

    Args:
        found: As `diagnose.exploring.explore` gives it.
    """
    # Within a script nothing is escaped as HTML is: a stranger's "</script>" must not end it.
    data = strict_json.text(found, ensure_ascii=True)
    data = data.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    script = (Path(HERE) / "explorer.js").read_text("utf-8")
    template = environment(HERE).get_template("explorer.html.j2")
    return str(template.render(found=found, data=data, script=script, style=style()))
