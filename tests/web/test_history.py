"""The page of the history, and the query behind it: by task, phase, trigger and time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.api.daemon import NATIVE, Api, wait_for
from tests.web.visitor import Visitor, elements


@pytest.fixture(scope="module")
def ran() -> list[str]:
    """Ids of what the first test that needs it ran: succeeded, failed before a later step, by a trigger."""
    return []


@pytest.fixture
def history(ran: list[str], api: Api, tasks: dict[str, str]) -> list[str]:
    """Three executions, made once."""
    if not ran:
        ran.append(str(api.until(api.start(tasks["gen"]), "SUCCEEDED")["id"]))
        ran.append(str(api.until(api.start(tasks["late"]), "FAILED")["id"]))
        body = {"environmentId": api.environment, "trigger": "manual"}
        firing = api.call(f"{NATIVE}/FireTrigger", body)["firing"]["id"]

        def parts() -> list[str]:
            found = api.call(f"{NATIVE}/GetFiring", {"id": firing})["firing"]
            return [one["taskExecutionId"] for one in found["parts"] if "completedAt" in found]

        ran += wait_for(parts, "the firing ends")
    return ran


def shown(visitor: Visitor, api: Api, query: str = "") -> list[str]:
    """Ids of the executions that the page lists."""
    text = visitor.page(f"/web/history?environment={api.environment}{query}")
    return [one["data-key"] or "" for one in elements(text, "tr", "data-key")]


def test_filters(visitor: Visitor, api: Api, history: list[str]) -> None:
    """Each narrows; what they say stays in the form."""
    gen, late, build = history
    assert shown(visitor, api) == [build, late, gen]
    assert shown(visitor, api, "&reference=gen") == [gen]
    assert shown(visitor, api, "&phase=failed") == [late]
    assert shown(visitor, api, "&trigger=prebuild") == []
    assert shown(visitor, api, "&within=hour&phase=succeeded") == [build, gen]
    text = visitor.page(f"/web/history?environment={api.environment}&phase=failed")
    assert any("selected" in one for one in elements(text, "option"))
    assert "Nothing like that has run" in visitor.page("/web/history?reference=nothing")
    assert visitor.get("/web/history?phase=nonsense").status_code == 400
    assert visitor.get("/web/history?token=nonsense&pageSize=x").status_code == 200
    assert visitor.get("/web/history?within=nonsense").status_code == 400


@pytest.mark.usefixtures("history")
def test_why_something_did_not_start(visitor: Visitor, api: Api) -> None:
    """The cause, and each step whose turn never came."""
    text = visitor.page(f"/web/history?environment={api.environment}&phase=failed")
    assert "step fail failed: exit code 3" in text
    assert "1 step did not start" in text
    assert "the execution ended before its turn" in text


def test_durations_are_a_picture_of_links(visitor: Visitor, api: Api, history: list[str]) -> None:
    """The oldest first, each with its words for who does not see it."""
    text = visitor.page(f"/web/history?environment={api.environment}")
    bars = [one for one in elements(text, "a", "aria-label") if "data-phase" in one]
    assert [one["href"] for one in bars] == [f"/web/executions/{one}" for one in history]
    assert [one["data-phase"] for one in bars] == ["succeeded", "failed", "succeeded"]
    assert (bars[1]["aria-label"] or "").startswith("late failed, ")


def test_older_ones_are_on_the_next_page(visitor: Visitor, api: Api, tasks: dict[str, str]) -> None:
    """Fifty at a time."""
    for _ in range(55):
        last = api.start(tasks["gen"])
    api.until(last, "SUCCEEDED")
    text = visitor.page(f"/web/history?environment={api.environment}&reference=gen")
    first = [one["data-key"] for one in elements(text, "tr", "data-key")]
    assert len(first) == 50
    (older,) = [one["href"] or "" for one in elements(text, "a", "href") if "after=" in (one["href"] or "")]
    assert "reference=gen" in older
    second = [one["data-key"] for one in elements(visitor.page(older), "tr", "data-key")]
    assert second
    assert not {*first} & {*second}


def test_the_query_by_trigger_and_time(api: Api, history: list[str]) -> None:
    """As a method."""

    def found(**wanted: object) -> list[str]:
        body = {"environmentIds": [api.environment], "pagination": {"pageSize": 100}, **wanted}
        answer = api.call(f"{NATIVE}/QueryTaskExecutions", body)
        return [one["id"] for one in answer.get("taskExecutions", [])]

    assert {*history} <= {*found(startedBy=["manual"])}
    assert found(startedBy=["prebuild"]) == []
    late = datetime.fromisoformat(api.execution(history[1])["metadata"]["createdAt"])
    after = (late + timedelta(microseconds=1)).isoformat()
    assert history[1] in found(createdFrom=late.isoformat())
    assert history[1] not in found(createdFrom=after)
    assert history[1] in found(createdBefore=after)
    assert found(createdBefore=late.isoformat()) == [history[0]]
    assert found(createdFrom=late.isoformat(), createdBefore=after) == [history[1]]
