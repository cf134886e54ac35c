"""What a dataset holds, as one HTML file with its pictures in it."""

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vsanimesr.training import pictures
from vsanimesr.training.clips import SPLITS, ClipStore
from vsanimesr.training.dataset import frames
from vsanimesr.training.dataset.build import Outcome, read_record

NAME = "report.html"
COLOURS = {"train": "#2b6ca3", "test": "#d9822b"}
UNITS = {
    "niqe": "quality: NIQE, negative",
    "hyperiqa": "quality: HyperIQA",
    "sharpness": "quality: spread of the Laplacian",
}
THUMBNAIL = 160
"""Columns."""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Dataset {{ title }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: 0 0 2rem; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; font-weight: normal; }
th { color: #666; }
.clips { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(490px, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
figure div { display: flex; gap: 2px; }
figure img { flex: 0 1 {{ width }}px; min-width: 0; height: auto; align-self: start; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
figcaption b.test { color: {{ colours.test }}; }
.plots img { max-width: 100%; height: auto; }
.failed { color: #b00020; }
</style>
<h1>{{ title }}</h1>
<p>Clips: {{ clips|length }}, to train {{ counts.train }}, to test {{ counts.test }}, with a cut
within {{ cut }}. Frames: {{ frames }}.</p>
{%- if plots %}
<p class="plots"><img alt="resolution, motion and quality of the clips" src="{{ plots }}"></p>
{%- endif %}
{%- if left %}
<h2>Videos without a clip</h2>
<table><tr><th>video</th><th></th><th>why</th></tr>
{%- for one in left %}
<tr class="{{ one.status }}"><td>{{ one.name }}</td>
<td>{{ "failed" if one.status == "failed" else "left out" }}</td><td>{{ one.detail }}</td></tr>
{%- endfor %}
</table>
{%- endif %}
<h2>Clips</h2>
<div class="clips">
{%- for clip in clips %}
<figure><div>
{%- for picture in clip.pictures %}<img alt="" src="{{ picture }}">{% endfor -%}
</div><figcaption><b>{{ clip.name }}</b> {% if clip.split == "test" %}<b class="test">test</b>
{% endif %}{{ clip.width }}&times;{{ clip.height }}, from frame {{ clip.first }}, motion
{{ "%.2f"|format(clip.motion) }}, quality {{ "%.2f"|format(clip.quality) }}
{%- if clip.cuts %}, cut at {{ clip.cuts|join(", ") }}{% endif %}</figcaption></figure>
{%- endfor %}
</div>
</html>
"""


def write(out: Path) -> Path:
    """Write `OUT/report.html`: plots as in figure 2 of the paper, the clips, what has none and why.

    Raises:
        TrainingError: A clip cannot be read, or the file not be written.
    """
    store = ClipStore(out)
    metas = {name: store.meta(name) for name in store.names()}
    record = read_record(out)
    outcomes = record.outcomes if record else []
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    html = environment.from_string(TEMPLATE).render(
        title=out.resolve().name,
        clips=[clip(store, name) for name in metas],
        counts={split: sum(meta["split"] == split for meta in metas.values()) for split in SPLITS},
        frames=sum(meta["frames"] for meta in metas.values()),
        cut=sum(bool(meta.get("cuts")) for meta in metas.values()),
        plots=_address(plots(metas), "png") if metas else "",
        left=left_out(outcomes),
        width=THUMBNAIL,
        colours=COLOURS,
    )
    path = out / NAME
    pictures.write_bytes(path, html.encode())
    return path


def left_out(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The videos that gave no clip, failed ones first."""
    left = [one for one in outcomes if one.status in ("none", "failed")]
    return sorted(left, key=lambda one: (one.status != "failed", one.name))


def clip(store: ClipStore, name: str) -> dict[str, Any]:
    """What the report shows of a clip; clips that were not built have no measurements."""
    meta = store.meta(name)
    count = store.frames(name)
    shown = [0, count // 2, count - 1]
    return {
        "first": 0,
        "motion": float("nan"),
        "quality": float("nan"),
        "cuts": [],
        **meta,
        "name": name,
        "pictures": [_thumbnail(picture) for picture in store.read(name, shown)],
    }


def plots(metas: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Resolution, motion and quality of the clips, as PNG."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    sizes, flow, score = figure.subplots(1, 3)
    splits = [[meta for meta in metas.values() if meta["split"] == split] for split in SPLITS]
    labels = sorted({(m["height"], m["width"]) for m in metas.values()})
    names = [f"{width}x{height}" for height, width in labels]
    below = [0] * len(labels)
    for split, part in zip(SPLITS, splits, strict=True):
        counts = Counter((m["height"], m["width"]) for m in part)
        values = [counts[label] for label in labels]
        sizes.bar(names, values, bottom=below, color=COLOURS[split], label=split, width=0.6)
        below = [a + b for a, b in zip(below, values, strict=True)]
    sizes.set_xlabel("resolution")
    sizes.tick_params(axis="x", rotation=0 if len(labels) < 4 else 60)
    measures = {str(meta.get("measure")) for meta in metas.values()}
    title = UNITS.get(next(iter(measures)), "quality") if len(measures) == 1 else "quality"
    for axis, key, label in ((flow, "motion", "motion, pixels a frame"), (score, "quality", title)):
        values = [[m[key] for m in part if key in m] for part in splits]
        if any(values):
            axis.hist(values, bins=20, stacked=True, color=[COLOURS[split] for split in SPLITS])
        axis.set_xlabel(label)
    for axis in (sizes, flow, score):
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
    sizes.set_ylabel("clips")
    figure.legend(
        *sizes.get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False
    )
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def _thumbnail(picture: pictures.Picture) -> str:
    small = frames.shrunk(picture, THUMBNAIL)
    done, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    return _address(jpeg.tobytes(), "jpeg")


def _address(content: bytes, kind: str) -> str:
    """The picture itself as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
