"""The command `validate`: modes, suggestions carried out, files watched while they are edited."""
