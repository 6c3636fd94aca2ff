"""Thresholds of the doctor that what a run has watched is judged by too; docs/diagnose.md says
where each is from.
"""

RANK_WATCH = 0.15  # residual ratio
RANK_ILL = 0.05
ORDER_ILL = 0.05  # change of the outputs under a shuffle over their spread
ORDER_WATCH = 0.3
AT_BOUND = 0.15  # of the way from the bound without order to 1: no better than blind to order
