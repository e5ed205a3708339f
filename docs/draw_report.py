"""Photograph a report: `python docs/draw_report.py OUT.png LIGHT.html [DARK.html]` (needs Chromium and Pillow).

Of two pages the second is taken dark and stands to the right of the first.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

_WIDTH, _HEIGHT, _COLOURS = 1000, 1420, 128


def main(out: str, *pages: str) -> None:
    """Write the picture, in few colours, so that a repository can hold it."""
    with tempfile.TemporaryDirectory() as folder:
        shots = []
        for number, page in enumerate(pages):
            shot = Path(folder) / f"{number}.png"
            command = ["chromium", "--headless=new", "--no-sandbox", "--hide-scrollbars", f"--screenshot={shot}"]
            command += [f"--window-size={_WIDTH},{_HEIGHT}", f"--blink-settings=preferredColorScheme={1 - number}"]
            subprocess.run([*command, Path(page).resolve().as_uri()], check=True, capture_output=True)  # noqa: S603
            shots.append(Image.open(shot).convert("RGB"))
        whole = Image.new("RGB", (_WIDTH * len(shots), _HEIGHT))
        for number, shot in enumerate(shots):
            whole.paste(shot, (_WIDTH * number, 0))
        whole.quantize(_COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
