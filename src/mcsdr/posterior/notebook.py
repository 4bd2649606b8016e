"""How a posterior shows itself at the end of a notebook's cell: dots and interval of one study, a table of several.

Text takes the notebook's own colour, light or dark; the style is bounded to the class of the outermost element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from mcsdr import DISCLAIMER
from mcsdr.posterior.svg import dotplot
from mcsdr.posterior.told import Told

if TYPE_CHECKING:
    from mcsdr.posterior.table import Posterior

MOST_ROWS = 10
STYLE = Markup("""<style>
.mcsdr-belief { max-width: 34rem; font-family: system-ui, sans-serif; color: inherit; }
.mcsdr-belief p { margin: .3em 0; } .mcsdr-belief .research-use { font-size: .8em; opacity: .8; }
.mcsdr-belief svg { display: block; width: 100%; height: auto; }
.mcsdr-belief svg text { fill: currentColor; font-size: 12.5px; } .mcsdr-belief svg .tick { opacity: .75; }
.mcsdr-belief svg .band, .mcsdr-belief svg .cut-label { font-weight: 600; }
.mcsdr-belief svg .median-label { font-weight: 700; font-size: 15px; opacity: 1; }
.mcsdr-belief .low { fill: #d55e00; } .mcsdr-belief .mid { fill: #e69f00; stroke: #8a5f00; }
.mcsdr-belief .high { fill: #0072b2; stroke: #56b4e9; }
.mcsdr-belief .density { fill: currentColor; opacity: .1; }
.mcsdr-belief line { stroke: currentColor; } .mcsdr-belief .cut { stroke-dasharray: 4 4; opacity: .6; }
.mcsdr-belief .ninety { stroke-width: 2; } .mcsdr-belief .fifty { stroke-width: 7; }
.mcsdr-belief .middle { stroke-width: 3; }
.mcsdr-belief td, .mcsdr-belief th { text-align: right; padding: .15em .8em; }
</style>""")
CAPTION = (
    "Each of the 50 dots is 2 % of the belief, over EF in %; bar: 90 % interval of a report (thin) and 50 % (thick)."
)


def as_html(posterior: Posterior) -> Markup:
    """One self-contained piece of HTML, without scripts, with what the result may be used for."""
    inside = _one(posterior) if posterior.single else _several(posterior)
    use = Markup('<p class="research-use">{}</p>').format(DISCLAIMER)
    return Markup('<div class="mcsdr-belief">') + STYLE + inside + use + Markup("</div>")


def _one(posterior: Posterior) -> Markup:
    told = Told.of(posterior)
    headline = Markup("<p><strong>{}</strong></p>").format(f"Ejection fraction. {told.sentence}")
    return headline + dotplot(posterior, told) + Markup("<p>{}</p>").format(CAPTION)


def _several(posterior: Posterior) -> Markup:
    """A row for each of the first studies."""
    head = Markup(
        "<table><thead><tr><th>Study</th><th>Median or peaks, EF %</th><th>90 % interval of a report</th></tr></thead>"
    )
    row = Markup("<tr><th>{}</th><td>{}</td><td>{:.0f}–{:.0f}</td></tr>")
    rows = [row.format(place, told.reading, *told.ninety) for place, told in enumerate(map(Told.of, _first(posterior)))]
    left = len(posterior) - len(rows)
    more = Markup("<p>… and {} more</p>").format(left) if left else Markup("")
    return head + Markup("<tbody>{}</tbody></table>").format(Markup("").join(rows)) + more


def _first(posterior: Posterior) -> list[Posterior]:
    return [posterior[place] for place in range(min(MOST_ROWS, len(posterior)))]
