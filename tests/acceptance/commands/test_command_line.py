"""The command as a user runs it: each command once, and each kind of mistake with one clear line."""

from __future__ import annotations

import getpass
import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.command_world import GOOD, call, run
from tests.acceptance.processes import COMMAND, COMPONENTS, ROOT

pytestmark = pytest.mark.one_worker


def test_run_gives_the_result_as_json_and_progress_beside_it(folder: Path) -> None:
    code, out, err = run(folder, "good.json", "--input", "n=41")
    result = json.loads(out)
    assert (code, result["status"], result["output"]) == (0, "completed", 42)
    assert "step a completed" in err


def test_run_tells_a_failure_by_its_exit_code(folder: Path) -> None:
    code, out, _ = run(folder, "fails.json", "--json")
    result = json.loads(out)
    assert (code, result["status"], result["error"]["step"]) == (1, "failed", "a")


def test_the_same_key_gives_the_same_run(folder: Path) -> None:
    first, second = (
        json.loads(run(folder, "good.json", "-i", "n=1", "--key", "k")[1])
        for _ in range(2)
    )
    assert first == second
    code, out, err = run(folder, "good.json", "-i", "n=2", "--key", "k")
    assert (code, out) == (1, "")
    assert (
        f"the idempotency key belongs to the start of run {first['id']} with other inputs ('n')"
        in err
    )


def test_runs_are_listed_shown_and_their_history_told(folder: Path) -> None:
    started = json.loads(run(folder, "good.json", "-i", "n=5")[1])
    listed = json.loads(call(folder, "runs", "list", "--json", "--workflow", "good")[1])
    assert started["id"] in [item["id"] for item in listed]
    shown = json.loads(call(folder, "runs", "show", started["id"], "--json")[1])
    assert (shown["status"], shown["steps"][0]["output"]) == ("completed", 6)
    history = json.loads(call(folder, "runs", "history", started["id"], "--json")[1])
    assert [event["type"] for event in history][-1] == "RunCompleted"
    watched = [
        json.loads(line)
        for line in call(folder, "runs", "watch", started["id"], "--json")[
            1
        ].splitlines()
    ]
    assert watched == history


def test_a_run_without_workers_is_paused_resumed_and_cancelled(folder: Path) -> None:
    code, out, _ = run(folder, "good.json", "-i", "n=1", "--detach", "--workers", "0")
    run_id = json.loads(out)["id"]
    for command, status in (
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
    ):
        code, out, _ = call(
            folder, "runs", command, run_id, "--reason", "because", "--json"
        )
        assert (code, json.loads(out)["status"]) == (0, status)
    code, _, err = call(folder, "runs", "pause", run_id)
    assert (code, "cancelled" in err) == (1, True)


def test_doctor_finds_all_well(folder: Path) -> None:
    code, out, _ = call(folder, "doctor", "--json")
    report = json.loads(out)
    assert (code, report["violations"]) == (0, [])
    assert (report["server"]["name"], report["server"]["appendfsync"]) == (
        "valkey",
        "everysec",
    )
    assert abs(report["server"]["skew_ms"]) < 2000
    assert "valkey 9" in call(folder, "doctor")[1]


def test_validate_finds_problems_with_their_place(folder: Path) -> None:
    assert call(folder, "validate", str(folder / "good.json"))[0] == 0
    code, out, _ = call(folder, "validate", str(folder / "broken.json"), "--json")
    [problem] = json.loads(out)[str(folder / "broken.json")]["problems"]
    assert (code, problem["code"], problem["line"]) == (4, "invalid_json", 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "{}/unknown.json", "-c", str(COMPONENTS)), "did you mean 'quick'"),
        (("run", "{}/good.json", "-c", str(COMPONENTS)), "n: is required"),
        (
            ("run", "{}/good.json", "-c", str(COMPONENTS), "-i", "n=x"),
            "must be of type integer",
        ),
        (("run", "{}/nowhere.json"), "No such file"),
        (("run", "{}/good.json", "-i", "n"), "not name=value"),
        (("run", "{}/broken.json"), "invalid_json"),
        (("run", "{}/good.json", "-c", "no.such.module"), "cannot be loaded"),
        (("rusn", "list"), "'rusn'; did you mean 'run' or 'runs'?"),
        (("schedules", "udpate"), "did you mean 'update'?"),
        (("runs", "show", "0-nothing"), "there is no run"),
        (("runs", "list", "--url", "redis://127.0.0.1:1"), "does not answer"),
        (("runs", "list", "--url", "ftp://x"), "must begin with redis://"),
        (("runs", "list", "--url", "http://"), "no address of a service"),
        (("doctor", "--lease-ms", "1"), "lease_ms"),
    ],
)
def test_mistakes_get_one_clear_line(
    folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, out, err = call(
        folder, *(argument.replace("{}", str(folder)) for argument in arguments)
    )
    assert (code != 0, out) == (True, "")
    assert says in err


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    run_id = json.loads(run(folder, "good.json", "-i", "n=1")[1])["id"]
    command = " ".join(
        [
            *map(shlex.quote, COMMAND),
            "runs",
            "history",
            run_id,
            "--json",
            "--data",
            str(folder / "data"),
        ]
    )
    done = subprocess.run(
        ["sh", "-c", f"{command} | true"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_completion_prints_a_script(folder: Path) -> None:
    code, out, _ = call(folder, "completion", "bash")
    assert (code, "_OPENAGENTS_COMPLETE" in out) == (0, True)


def test_a_run_that_waits_is_signalled_shown_and_goes_on(folder: Path) -> None:
    steps = [
        {"id": "ok", "wait_for": {"signal": "go", "schema": {"type": "object"}}},
        {"id": "a", "component": "quick"},
    ]
    (folder / "waits.json").write_text(
        json.dumps({"id": "waits", "steps": steps, "output": "{{ok.by}}"})
    )
    run_id = json.loads(run(folder, "waits.json", "--detach", "--workers", "0")[1])[
        "id"
    ]
    code, _, err = call(folder, "runs", "signal", run_id, "gone")
    assert (code, "did you mean 'go'?" in err) == (1, True)
    code, _, err = call(folder, "runs", "signal", run_id, "go", "--payload", "5")
    assert (code, "is not of type 'object'" in err) == (1, True)
    assert (
        call(
            folder,
            "runs",
            "signal",
            run_id,
            "go",
            "--payload",
            '{"x": 1}',
            "--by",
            "ann",
            "--reason",
            "fine",
        )[0]
        == 0
    )
    shown = json.loads(call(folder, "runs", "show", run_id, "--json")[1])
    assert {step["id"]: step["status"] for step in shown["steps"]} == {
        "ok": "completed",
        "a": "scheduled",
    }
    assert "ann" in call(folder, "runs", "history", run_id)[1]
    assert (
        json.loads(
            call(folder, "runs", "cancel", run_id, "--no-compensate", "--json")[1]
        )["status"]
        == "cancelled"
    )
    assert (
        json.loads(
            call(folder, "runs", "retry", run_id, "--reason", "again", "--json")[1]
        )["status"]
        == "running"
    )
    assert call(folder, "runs", "cancel", run_id)[0] == 0
    assert call(folder, "runs", "retry", run_id, "--from", "nothing")[0] == 1


def test_workflows_are_published_named_and_checked(folder: Path) -> None:
    assert (
        call(
            folder, "workflows", "add", str(folder / "good.json"), "-c", str(COMPONENTS)
        )[0]
        == 0
    )
    (folder / "other.json").write_text(json.dumps({**GOOD, "description": "changed"}))
    code, _, err = call(
        folder, "workflows", "add", str(folder / "other.json"), "-c", str(COMPONENTS)
    )
    assert (code, "versions never change" in err) == (1, True)
    assert call(folder, "workflows", "alias", "good@stable", "1.0.0")[0] == 0
    assert call(folder, "workflows", "alias", "good@stable", "9.0.0")[0] == 6
    assert call(folder, "workflows", "alias", "good", "1.0.0")[0] == 2
    listed = json.loads(call(folder, "workflows", "list", "--json")[1])
    assert [(item["id"], item["aliases"]) for item in listed] == [("good", ["stable"])]
    code, out, _ = call(
        folder, "run", "good@stable", "-c", str(COMPONENTS), "-i", "n=1"
    )
    assert (code, json.loads(out)["output"]) == (0, 2)
    assert call(folder, "run", "god@stable", "-i", "n=1")[0] == 6
    code, out, _ = call(
        folder, "workflows", "check", str(folder / "other.json"), "-c", str(COMPONENTS)
    )
    assert (code, "runs fit" in out) == (0, True)
    (folder / "third.json").write_text(
        json.dumps({**GOOD, "steps": [{**GOOD["steps"][0], "id": "b"}], "output": 1})
    )
    code, out, _ = call(
        folder, "workflows", "check", str(folder / "third.json"), "-c", str(COMPONENTS)
    )
    assert (code, "there is no step 'a' any more" in out) == (1, True)


def test_schedules_are_kept_and_mistakes_are_told(folder: Path) -> None:
    create = (
        "schedules",
        "create",
        "nightly",
        str(folder / "good.json"),
        "-c",
        str(COMPONENTS),
        "-i",
        "n=1",
    )
    assert call(folder, *create, "--cron", "61 * * * *")[0] == 2
    assert (
        call(folder, *create, "--cron", "0 3 * * *", "--timezone", "Nowhere/City")[0]
        == 2
    )
    assert (
        call(folder, *create, "--cron", "0 3 * * *", "--timezone", "Europe/Paris")[0]
        == 0
    )
    assert call(folder, *create, "--every", "60")[0] == 1
    assert "nightly" in call(folder, "schedules", "list")[1]
    back = (
        "schedules",
        "backfill",
        "nightly",
        "--from",
        "2030-01-01T00:00:00Z",
        "--to",
        "2030-01-03T00:00:00Z",
    )
    assert len(json.loads(call(folder, *back, "--json")[1])) == 2
    assert call(folder, "schedules", "pause", "nightly")[0] == 0
    assert json.loads(call(folder, "schedules", "show", "nightly")[1])["paused"] is True
    assert call(folder, "schedules", "delete", "nightly", "--yes")[0] == 0
    assert call(folder, "schedules", "show", "nightly")[0] == 6


def test_runs_are_listed_by_what_they_are_and_page_by_page(folder: Path) -> None:
    for _ in range(3):
        run(folder, "fails.json")
    code, out, err = call(
        folder,
        "runs",
        "list",
        "--status",
        "failed",
        "--workflow",
        "fails",
        "--limit",
        "2",
        "--json",
    )
    first = json.loads(out)
    assert (code, len(first)) == (0, 2)
    assert {row["status"] for row in first} == {"failed"}
    after = err.split("--after ")[1].strip()
    rest = json.loads(
        call(folder, "runs", "list", "--status", "failed", "--after", after, "--json")[
            1
        ]
    )
    assert rest
    assert not {row["id"] for row in first} & {row["id"] for row in rest}
    assert int(call(folder, "runs", "list", "--status", "failed", "--count")[1]) == len(
        first
    ) + len(rest)
    assert (
        json.loads(call(folder, "runs", "list", "--started-before", "1h", "--json")[1])
        == []
    )
    assert json.loads(call(folder, "runs", "list", "--as-of", "1h", "--json")[1]) == []
    assert (
        first[0]["id"]
        in call(folder, "runs", "list", "--fingerprint", first[0]["fingerprint"])[1]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("runs", "list", "--started-after", "yesterday"),
            "'yesterday' is no time; write 2026-11-23T08:00",
        ),
        (("runs", "list", "--took-over", "long"), "'long' is no duration"),
        (("runs", "list", "--label", "x"), "'x' must be NAME=VALUE"),
        (
            ("runs", "list", "--label", "x=1", "--label", "x=2"),
            "'x' cannot be both '1' and '2'",
        ),
        (("runs", "list", "--status", "complete"), "'complete' is not one of"),
        (("runs", "list", "--as-of", "9" * 400 + "d"), "is no time"),
        (("runs", "list", "--as-of", "1h", "--count"), "do not go together"),
        (("runs", "list", "--archived", "--count"), "do not go together"),
        (("runs", "list", "--after", "x"), "does not continue a page"),
        (
            ("runs", "list", "--count", "--took-over", "1s"),
            "only facets and times can be counted",
        ),
        (("runs", "fork", "0-none", "--at", "1"), "there is no run '0-none'"),
        (("runs", "state", "0-none"), "there is no run '0-none'"),
        (("runs", "state", "0-none", "--at", "never"), "is no time"),
        (("runs", "diff", "0-none", "0-other"), "there is no run '0-none'"),
        (("runs", "explain", "0-none"), "there is no run '0-none'"),
        (("runs", "skip", "0-none", "a"), "there is no run '0-none'"),
        (("projections", "verify", "runz"), "there is no projection 'runz'"),
        (
            ("runs", "retry", "0-none", "--set", "=1"),
            "Invalid value for --set: '=1' is not name=value",
        ),
        (
            ("run", "good.json", "--input-file", "deep.json"),
            "deep.json is not JSON: it is nested too deeply",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_one_line(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = call(
        folder, *(str(folder / x) if x.endswith(".json") else x for x in arguments)
    )
    not_found = message.startswith("there is no ")
    does_not_fit = message in (
        "does not continue a page",
        "only facets and times can be counted",
    )
    assert code == (6 if not_found else 5 if does_not_fit else 2)
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_failed_run_is_explained_and_goes_on_by_hand(folder: Path) -> None:
    good = json.loads(run(folder, "good.json", "-i", "n=1")[1])["id"]
    failed = json.loads(run(folder, "fails.json")[1])["id"]
    assert "step a failed" in call(folder, "runs", "explain", failed)[1]
    assert (
        json.loads(call(folder, "runs", "explain", failed, "--json")[1])["step"] == "a"
    )
    assert call(folder, "runs", "diff", good, good)[:2] == (0, "nothing differs\n")
    code, out, _ = call(folder, "runs", "diff", good, failed)
    assert (code, "status: completed | failed" in out) == (1, True)
    then = json.loads(call(folder, "runs", "state", failed, "--at", "1")[1])
    assert (then["status"], then["steps"]) == ("running", [])
    assert call(
        folder, "runs", "complete", failed, "a", "--output", "7", "--reason", "known"
    )[1].endswith("completed\n")
    forked = json.loads(
        call(folder, "runs", "fork", good, "--at", "1", "--set", "n=5", "--json")[1]
    )["id"]
    assert json.loads(call(folder, "runs", "show", forked, "--json")[1])["inputs"] == {
        "n": 5
    }
    assert call(folder, "runs", "skip", forked, "a")[1] == f"{forked} completed\n"
    assert call(folder, "runs", "rerun", good, "a")[1] == f"{good} running\n"
    assert call(
        folder, "runs", "retry", failed, "--workflow", str(folder / "good.json")
    )[2].startswith("openagents: ")


def test_the_views_are_shown_and_checked(folder: Path) -> None:
    run(folder, "good.json", "-i", "n=5")
    assert "quick" in call(folder, "components")[1]
    assert call(folder, "steps", "--json")[0] == 0
    assert json.loads(call(folder, "workers", "--json")[1])
    assert (
        json.loads(call(folder, "runs", "failures", "--json")[1])[0]["workflow"]
        == "fails"
    )
    lags = {
        x["name"]: x["lag"]
        for x in json.loads(call(folder, "projections", "list", "--json")[1])
    }
    unasked = {"archive": 0, "catalog": 0, "usage": 0}  # nobody has asked for these
    assert {**lags, **unasked} == {"runs": 0, "steps": 0, "workers": 0, **unasked}
    for name in ("runs", "steps", "workers", "archive", "catalog", "usage"):
        assert call(folder, "projections", "verify", name)[:2] == (
            0,
            f"{name}: as the log has it\n",
        )
    assert json.loads(call(folder, "projections", "rebuild", "steps", "--json")[1])[
        "in_use"
    ]
    assert json.loads(call(folder, "projections", "show", "workers")[1])["documents"]


def test_a_history_is_filtered_and_given_to_other_systems(folder: Path) -> None:
    run_id = json.loads(run(folder, "good.json", "-i", "n=5")[1])["id"]
    whole = json.loads(call(folder, "runs", "history", run_id, "--json")[1])
    assert len(
        call(folder, "runs", "history", run_id, "--format", "jsonl")[1].splitlines()
    ) == len(whole)
    steps = json.loads(
        call(
            folder,
            "runs",
            "history",
            run_id,
            "--step",
            "a",
            "--type",
            "StepStarted",
            "--json",
        )[1]
    )
    assert [(e["type"], e["step"]) for e in steps] == [("StepStarted", "a")]
    assert (
        json.loads(
            call(folder, "runs", "history", run_id, "--until", "1h", "--json")[1]
        )
        == []
    )
    by = json.loads(
        call(
            folder, "runs", "history", run_id, "--by", "cli", "--since", "1h", "--json"
        )[1]
    )
    assert {e["actor"].split(":")[0] for e in by} == {"cli"}
    assert {e["actor"].split(":")[1] for e in by} == {getpass.getuser()}
    clouds = [
        json.loads(x)
        for x in call(folder, "runs", "history", run_id, "--format", "cloudevents")[
            1
        ].splitlines()
    ]
    assert [x["id"] for x in clouds] == [f"{run_id}/{e['version']}" for e in whole]
    trace = json.loads(call(folder, "runs", "history", run_id, "--format", "otel")[1])
    names = [
        span["name"] for span in trace["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]
    assert names == ["workflow good", "step a"]


def test_what_is_done_to_several_runs_is_told_of_each(folder: Path) -> None:
    limit = {"limit": 1, "on_limit": "reject"}
    document = {
        "id": "one",
        "concurrency": limit,
        "steps": [{"id": "s", "wait_for": "go"}],
    }
    (folder / "one.json").write_text(json.dumps(document))
    assert (
        call(
            folder,
            "schedules",
            "create",
            "hourly",
            str(folder / "one.json"),
            "--every",
            "3600",
            "--paused",
        )[0]
        == 0
    )
    times = ("--from", "2030-01-01T00:00:00Z", "--to", "2030-01-01T03:00:00Z")
    code, out, err = call(folder, "schedules", "backfill", "hourly", *times)
    assert (code, len(out.split())) == (1, 1)
    assert err.count("has not begun: run ") == 2
    held = call(folder, "runs", "hold", out.strip(), "0-nobody")
    assert (held[0], held[1]) == (6, f"{out.strip()} held\n")
    assert "0-nobody" in held[2]
