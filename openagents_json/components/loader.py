"""L."""
import importlib.util, time
from openagents_json.components.registry import Registry
def load(paths, working_directory=None, entry_points=True):
    r=Registry()
    def noop(): return None
    async def anoop(): return None
    def nap(ms=100):
        time.sleep(ms/1000); return ms
    for f in (noop,anoop,nap): r.add(f)
    for p in paths:
        sp=importlib.util.spec_from_file_location("comp",p); m=importlib.util.module_from_spec(sp); sp.loader.exec_module(m)
        for v in vars(m).values():
            if callable(v) and getattr(v,"__module__","")=="comp": r.add(v)
    return r
