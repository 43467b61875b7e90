"""How calls travel: requests of HTTP, tried again where that is safe, and feeds that go on where they broke off."""
