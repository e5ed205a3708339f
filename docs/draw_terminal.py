"""Draw what a terminal shows as an SVG: `python docs/draw_terminal.py OUT.svg COMMAND…` (needs rich)."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main(out: str, *command: str) -> None:
    """Run a command with colours on and record its screen, 100 columns wide."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    with Path(os.devnull).open("w") as sink:
        console = Console(record=True, width=104, file=sink)
        console.print(Text("$ " + " ".join(command), style="bold"))
        console.print(Text.from_ansi(done.stdout))
        svg = console.export_svg(title="zt-gate", code_format=_FORMAT)
    Path(out).write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


# rich's own frame without its web fonts: a picture in a repository asks no other host for anything.
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
  line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""

if __name__ == "__main__":
    main(*sys.argv[1:])
