"""The sheet on which a person chooses the rescaling factor: one HTML file, pictures and all."""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import jinja2

from vsanimesr.training import pictures
from vsanimesr.training.pictures import Picture
from vsanimesr.training.rescale.artifacts import Statistics
from vsanimesr.training.rescale.strategy import Trial

TEMPLATE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Rescaling factors of {{ video }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
p { max-width: 46rem; }
code { white-space: nowrap; }
table { border-collapse: collapse; }
th, td { padding: .25rem .4rem; text-align: center; vertical-align: bottom; font-weight: normal; }
th.row { text-align: right; white-space: nowrap; }
tr.picked, .picked { background: #e6f2e6; }
img { display: block; width: 192px; height: auto; image-rendering: pixelated; }
.sheet { overflow-x: auto; }
.sheet th b { font-size: 1.15rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
</style>
<h1>{{ video }}</h1>
<p>Each column is the video shrunk by a factor, enlarged by {{ model }}, and brought to twice its
own size. By the spectrum of its edges the video was drawn at {{ "%g"|format(native) }} of its size:
shrunk to that it loses no lines, and what lies beyond is no drawing. Columns are ranked, those
nearest to that on the left. The numbers cannot see what a line should look like, so look: lines
clean and unbroken, no double contours, nothing melted together. Then run the command again with
<code>--factor</code>.</p>
<table>
<tr><th>factor</th><th>around edges</th><th>edge strength</th><th>lines kept</th></tr>
{%- for one in ranked %}
<tr{% if loop.first %} class="picked"{% endif %}><td>{{ one.factor }}</td>
<td class="number">{{ "%.4f"|format(one.halo) }}</td>
<td class="number">{{ "%.4f"|format(one.strength) }}</td>
<td class="number">{{ "%.3f"|format(one.kept) }}</td></tr>
{%- endfor %}
</table>
<p>Around edges: mean gradient 3 to 12 pixels from edges by that on the edges, less is better.
Edge strength: mean gradient on the edges, of full scale a pixel. Lines kept: correlation of the
gradients with those of the video.</p>
<div class="sheet"><table>
<tr><th></th><th>video</th>
{%- for one in ranked %}
<th{% if loop.first %} class="picked"{% endif %}><b>{{ one.factor }}</b></th>
{%- endfor %}</tr>
{%- for row in rows %}
<tr><th class="row">frame {{ row.frame }}</th>
<td><img alt="video, frame {{ row.frame }}" src="{{ row.source }}"></td>
{%- for factor, picture in row.pictures %}
<td{% if loop.first %} class="picked"{% endif %}>
<img alt="factor {{ factor }}, frame {{ row.frame }}" src="{{ picture }}"></td>
{%- endfor %}</tr>
{%- endfor %}
</table></div>
</html>
"""


def write(
    path: Path,
    trials: Sequence[Trial],
    ranked: Sequence[Statistics],
    *,
    native: float,
    video: str,
    model: str,
) -> None:
    """Write the sheet.

    Args:
        path: Of the HTML file.
        trials: The rows.
        ranked: The columns, best first.
        native: As `strategy.compare` finds it.
        video: What to call the video.
        model: What to call the network.

    Raises:
        TrainingError: It cannot be written.
    """
    rows = [
        {
            "frame": trial.frame,
            "source": _address(trial.source),
            "pictures": [(one.factor, _address(trial.enlarged[one.factor])) for one in ranked],
        }
        for trial in trials
    ]
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
    html = template.render(video=video, model=model, native=native, ranked=ranked, rows=rows)
    pictures.write_bytes(path, html.encode())


def _address(picture: Picture) -> str:
    """The picture itself as an address."""
    png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
