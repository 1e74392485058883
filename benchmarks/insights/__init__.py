"""How good the insights are, measured on data that is named, beside simple rules."""
