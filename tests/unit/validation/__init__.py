"""Documents validated while they are edited: sessions, findings, suggestions that are carried out."""
