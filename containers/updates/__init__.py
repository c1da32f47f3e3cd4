"""Update detection: what is known of registries and of hosts, brought together into one answer per container.

``evaluation`` decides and writes, ``cycle`` says when and asks the registries, ``decisions`` holds what users set,
``checks`` follows what somebody asked for now. Nothing here speaks to a registry; the app registries does.
"""
