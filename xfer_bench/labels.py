"""Labels that a study gives its runs and that the statistics read."""

# At the end of a setting's name: every language's own validation items choose among the steps (CO-TLV: target-language
# validation).
TLV = "-TLV"

# Of a run whose intermediate data come from the target's own source.
MORE_TARGET_DATA = "more_target_data"
