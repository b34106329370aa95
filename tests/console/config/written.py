"""Texts of configs that tests of this folder have in common."""

from typing import Any

HEAD = '[contexts.c]\ntitle = "t"\n'
SERVICE = '[[contexts.c.deployments]]\nname = "web"\ntype = "file-switch"\npath = "switch.json"\n'
LINE_OF_MORE = HEAD.count("\n") + SERVICE.count("\n") + 1
Validate = Any
PROMETHEUS = '[[contexts.c.metrics]]\nname = "prom"\ntype = "prometheus"\nurl = "http://127.0.0.1:9"\n'
