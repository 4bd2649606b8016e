"""The posterior of ejection fraction as a table of quantiles z → y, and what is done to it.

    table            Posterior: moments, quantiles, probabilities, density, peaks
    monotone         the monotone cubic between the nodes;  normal: Φ and its inverse
    modes            which peaks may be told
    pooling          several posteriors into one
    recalibration    nodes remapped so that levels are kept

Arrays in, arrays out: nothing here knows a file, a study or a network. To add a question that a posterior answers, give
`Posterior` one method; to add a way of pooling, one function in `pooling`.
"""

from mcsdr.posterior.table import EDGE_PERCENT, Posterior, prob_change, quantile_nodes

__all__ = ["EDGE_PERCENT", "Posterior", "prob_change", "quantile_nodes"]
