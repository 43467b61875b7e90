"""Tests: what a user could notice, on real servers where a server matters."""
