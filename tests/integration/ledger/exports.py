"""An export as somebody who holds it can change it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from openagents_json.engine import Engine

FORGED = '{"forged":true}'


class File:
    """An export that is open on somebody's desk, at one of its partitions."""

    def __init__(self, engine: Engine, path: Path, at: int = 0) -> None:
        self.path, self.at = path, at
        with path.open("wb") as out:
            engine.audit.export(out)
        with zipfile.ZipFile(path) as archive:
            self.members = {name: archive.read(name) for name in archive.namelist()}
        self.partition = json.loads(self.members[f"{self.at}/partition.json"])
        self.events = self._lines("events")
        self.log = self._lines("log")

    def _lines(self, kind: str) -> list[Any]:
        return [
            json.loads(line)
            for line in self.members[f"{self.at}/{kind}.jsonl"].splitlines()
        ]

    def event(self, run: str, version: int) -> dict[str, Any]:
        """Return an event."""
        return next(
            x for x in self.events if (x["stream"], x["version"]) == (run, version)
        )

    def commitment(self, event: dict[str, Any]) -> str:
        """Return the commitment to an event of the first epoch, whose salt is in the file."""
        at = 16 * (event["position"] - 1)
        salt, data = (
            self.members[f"{self.at}/salts/1"][at : at + 16],
            event["data"].encode(),
        )
        return hashlib.sha256(
            salt + len(data).to_bytes(8, "big") + data + event["metadata"].encode()
        ).hexdigest()

    def erase(self, event: dict[str, Any], data: str) -> list[Any]:
        """Put other data in the place of an event's, as erasing does; gives how a record names it."""
        committed, at = self.commitment(event), 16 * (event["position"] - 1)
        self.partition["erased"][str(event["position"])] = committed
        salts = self.members[f"{self.at}/salts/1"]
        self.members[f"{self.at}/salts/1"] = salts[:at] + bytes(16) + salts[at + 16 :]
        event["data"] = data
        return [event["version"], hashlib.sha256(data.encode()).hexdigest(), committed]

    def add(
        self,
        like: dict[str, Any],
        stream: str,
        version: int,
        kind: str,
        data: dict[str, Any],
    ) -> None:
        """Add an event at the end of the log."""
        position = self.partition["head"] + 1
        self.partition["head"] = position
        entry = {
            "stream": stream,
            "version": version,
            "position": position,
            "type": kind,
            "data": json.dumps(data),
        }
        self.events.append({**like, **entry, "commit": "c", "metadata": ""})
        self.log.append([position, like["time_ms"], stream, version, version])

    def save(self) -> Path:
        """Write it."""
        lines = {"events": self.events, "log": self.log}
        for kind, items in lines.items():
            self.members[f"{self.at}/{kind}.jsonl"] = b"".join(
                json.dumps(item).encode() + b"\n" for item in items
            )
        self.members[f"{self.at}/partition.json"] = json.dumps(self.partition).encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, raw in self.members.items():
                archive.writestr(name, raw)
        self.path.write_bytes(buffer.getvalue())
        return self.path

    def put_record(self, name: str, value: str) -> None:
        """Put another value into the record of the first epoch."""
        epoch, text, signature = self.partition["epochs"][0]
        record = json.dumps(
            {**json.loads(text), name: value}, sort_keys=True, separators=(",", ":")
        )
        self.partition["epochs"][0] = [epoch, record, signature]

    def cut_epoch(self) -> None:
        """Take the last epoch away, as if it had never been signed."""
        epochs = self.partition["epochs"]
        record = json.loads(epochs.pop()[1])
        self.partition.update(
            open_epoch=record["epoch"],
            open_first=record["first"],
            checkpoint=record["last"],
        )

    def flip(self, member: str) -> None:
        """Change the first bit of a member."""
        first, *rest = self.members[f"{self.at}/{member}"]
        self.members[f"{self.at}/{member}"] = bytes([first ^ 128, *rest])

    def change_payloads(self) -> None:
        """Change the payloads that are stored beside the log."""
        for name in self.members:
            if name.startswith(f"{self.at}/blobs/"):
                self.members[name] = b'"forged"'

    def change_whole(self, **values: object) -> None:
        """Change what is said of the whole ledger."""
        whole = json.loads(self.members["ledger.json"])
        self.members["ledger.json"] = json.dumps({**whole, **values}).encode()
