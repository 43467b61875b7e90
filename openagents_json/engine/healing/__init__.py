"""A class of failed runs healed: a backtest, a report, and waves."""
