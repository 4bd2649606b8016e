"""The posterior of ejection fraction as a table of quantiles z → y, and what is done to it.

    table            Posterior: moments, quantiles, probabilities, density, peaks
    questions        those that make no sense, refused by name
    scale            ℓ = logit(y/100);  monotone: the monotone cubic between the nodes;  normal: Φ and its inverse
    modes            which peaks may be told
    pooling          several posteriors into one;  change: of EF between two exams
    recalibration    nodes remapped so that levels are kept
    deconvolution    of the heart's own EF, a reader's error taken out;  population: told for another population
    told             the few numbers that are told of a belief;  categories: where it is cut;  dots: it as 50 dots
    svg, axes        the dotplot drawn, for pages and by matplotlib;  notebook: at the end of a cell

Arrays in, arrays out: nothing here knows a file, a study or a network. To add a question that a posterior answers, give
`Posterior` one method; to add a way of pooling, one function in `pooling`.
"""

from mcsdr.posterior.change import prob_change
from mcsdr.posterior.deconvolution import heart_of
from mcsdr.posterior.normal import quantile_nodes
from mcsdr.posterior.population import Population, reweighted
from mcsdr.posterior.scale import EDGE_PERCENT
from mcsdr.posterior.table import Posterior, Value

__all__ = [
    "EDGE_PERCENT",
    "Population",
    "Posterior",
    "Value",
    "heart_of",
    "prob_change",
    "quantile_nodes",
    "reweighted",
]
