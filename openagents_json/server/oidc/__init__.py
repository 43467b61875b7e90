"""Bearer tokens of an identity provider (OpenID Connect): whose keys count, what a token has to say, and its role."""
