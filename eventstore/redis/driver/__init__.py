"""How a command reaches a server: connections by URL, clusters, scripts in pipelines, and whether a server is fit."""
