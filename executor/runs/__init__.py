"""One run: loaded, decided, committed; its codec, its payloads and its keys."""
