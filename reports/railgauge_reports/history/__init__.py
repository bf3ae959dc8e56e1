"""A history of nights: the gate of each night, and when its series changed."""
