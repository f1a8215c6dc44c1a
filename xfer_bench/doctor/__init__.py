"""The doctor: one page on this machine that one can paste into an issue, without anything that is secret."""

from xfer_bench.doctor.diagnosis import diagnose
from xfer_bench.doctor.facts import Diagnosis, Fact

__all__ = ["Diagnosis", "Fact", "diagnose"]
