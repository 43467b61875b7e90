"""R."""
import inspect
from dataclasses import dataclass
from typing import Any
from openagents_json.components.errors import UnknownComponent
from openagents_json.workflow.catalog import ComponentSpec, to_json
@dataclass(slots=True)
class Component:
    spec: Any
    fn: Any
    ctx: bool
    def invoke(self, inputs, context):
        return self.fn(**inputs, context=context) if self.ctx else self.fn(**inputs)
class Registry:
    def __init__(self): self.m={}; self.s={}
    def add(self, fn):
        n=getattr(fn,"oaname",fn.__name__)
        sp=ComponentSpec(n, is_async=inspect.iscoroutinefunction(fn))
        self.m[n]=Component(sp, fn, "context" in inspect.signature(fn).parameters); self.s[n]=sp
    def add_spec(self, sp): self.s[sp.name]=sp
    def find(self, r): return self.s.get(r.split("@")[0])
    def names(self): return list(self.s)
    def specs(self): return list(self.s.values())
    def resolve(self, r):
        try: return self.m[r.split("@")[0]]
        except KeyError: raise UnknownComponent(r) from None
    def published(self): return {f"{s.name}@{s.version}": to_json(s) for s in self.s.values()}
