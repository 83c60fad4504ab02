"""Medians, ratios, growth, crossings and shares, each with the interval that says how sure it is.

No interval assumes a normal distribution where order statistics will do. Such intervals come in
steps, and few samples cannot reach 95 %: `confidence` is what was attained, not what was asked.
"""

from harness.stats.crossing import Crossing, Crossings, crossings
from harness.stats.growth import (
    MIN_LENGTHS,
    OffsetPowerLaw,
    PowerLaw,
    offset_power_law,
    power_law,
)
from harness.stats.interval import CONFIDENCE, Interval, Series
from harness.stats.location import hodges_lehmann, median_interval, paired_ratio, unpaired_ratio
from harness.stats.proportions import Profile, performance_profiles, wilson
from harness.stats.survival import median_until
from harness.stats.verdicts import MARGIN, Band, Verdict, margin_of, noise_band, verdict

__all__ = [
    "CONFIDENCE",
    "MARGIN",
    "MIN_LENGTHS",
    "Band",
    "Crossing",
    "Crossings",
    "Interval",
    "OffsetPowerLaw",
    "PowerLaw",
    "Profile",
    "Series",
    "Verdict",
    "crossings",
    "hodges_lehmann",
    "margin_of",
    "median_interval",
    "median_until",
    "noise_band",
    "offset_power_law",
    "paired_ratio",
    "performance_profiles",
    "power_law",
    "unpaired_ratio",
    "verdict",
    "wilson",
]
