"""Texts that come through the browser into the folder of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from ..errors import ConfigError
from ..uploads import take_text
from .pieces import safe, with_class

MEGABYTES = 9  # in one go: Jupyter's connection to the kernel ends with a message of more than 10 MiB


class Upload:
    """Texts that come into the folder of texts."""

    def __init__(self, folder: Callable[[], Path], chunk_size: Callable[[], int]) -> None:
        self._folder, self._chunk_size = folder, chunk_size
        self.button = ipywidgets.FileUpload(multiple=True, description="Choose texts", disabled=True)
        self.replace = ipywidgets.Checkbox(description="replace texts of the same name", indent=False)
        self.said = ipywidgets.HTML()
        about = ipywidgets.HTML(
            "<p>Plain text (.txt, .md or no suffix) goes into the folder PATH.INPUT as it is. "
            f"Choose at most {MEGABYTES} MB in one go: more does not come through Jupyter's connection, and then "
            "nothing is said here. Bring larger files there with the file browser.</p>"
        )
        self.box = with_class(
            ipywidgets.VBox([about, ipywidgets.HBox([self.button, self.replace]), self.said]), "gm-texts"
        )
        self.button.observe(self._heard, "value")

    def _heard(self, change: Any) -> None:
        files: Sequence[Any] = change["new"]
        if not files:
            return  # emptied below
        lines = [self._taken(file["name"], bytes(file["content"])) for file in files]
        self.button.value = ()  # else the texts would be in the widget's state, and the same could not come again
        after = "<p>Run the set-up cell and <code>wb.chunks()</code> again to have them in the run.</p>"
        self.said.value = (
            f"<ul>{''.join(lines)}</ul>{after if any('gm-saved' in line for line in lines) else ''}"
        )

    def _taken(self, name: str, data: bytes) -> str:
        try:
            taken = take_text(self._folder(), name, data, replace=self.replace.value)
        except ConfigError as error:
            return f"<li class='gm-error'>{safe(str(error))}</li>"
        if taken.how == "there already":
            return f"<li>{safe(taken.name)} is there already</li>"
        chunks = max(1, round(taken.characters / self._chunk_size()))
        size = f"{taken.characters:,} characters, about {chunks:,} chunk{'s' * (chunks != 1)}"
        return f"<li class='gm-saved'>{safe(taken.name)} was {taken.how}: {size}</li>"
