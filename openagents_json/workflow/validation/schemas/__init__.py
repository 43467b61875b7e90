"""JSON Schemas compared: whether what one says of a value can be, or always is, valid under another."""
