"""Looking at runs: queries, plain values, explanations, replays, exports to other systems."""
