"""The web page in a real browser: `make test-page` runs these, and installs what they need."""
