"""Every store of workflows keeps the same promises: one holder, a limit, no late write, nothing twice."""

import asyncio
from dataclasses import replace

import pytest

from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.workflows.api import cursor, token
from fleetform_runtime.workflows.records import StepState, again_from, event, run_json
from fleetform_runtime.workflows.store import (
    AsideError,
    Counts,
    LostError,
    RejectedError,
    StoppedError,
    postgres,
    redis,
    sql,
)
from runtime.tests.stores import BACKENDS, memory
from runtime.tests.workflows import overwrite, run, store, unreadable

pytestmark = pytest.mark.anyio
LONG, OVER = 600.0, 0.0
"""Seconds of a lease that holds, and of one that is over at once."""


@pytest.fixture(params=BACKENDS)
def section(request, tmp_path):
    return memory(request.param, request, tmp_path)


async def test_a_name_is_one_run(section):
    async with store(section) as kept:
        first = await kept.submit(run("a", input={"n": 1}), 1, "queue")
        again = await kept.submit(run("a", id="other", input={"n": 2}), 1, "queue")
        assert (again.run.id, again.run.input) == ("id-a", {"n": 1})
        assert again == first == await kept.get("a")
        assert first.run.created > 1_700_000_000
        assert await kept.get("b") is None


async def test_one_holds_it_and_the_oldest_comes_first(section):
    async with store(section) as kept:
        for name in ("b", "a", "c"):
            await kept.submit(run(name), 2, "queue")
        claims = [await kept.claim(f"w{number}", LONG, 2) for number in range(3)]
        assert [claim and claim.name for claim in claims] == ["b", "a", None]
        same = await kept.claim("w0", LONG, 2)
        assert same == replace(claims[0], now=same.now)
        await kept.write(
            claims[0], replace(claims[0].found.run, phase="Succeeded"), {}, [], ends=True
        )
        third = await kept.claim("w4", LONG, 2)
        assert third.name == "c"


async def test_who_is_silent_is_replaced_and_writes_no_more(section):
    async with store(section) as kept:
        await kept.submit(run("a"), 1, "queue")
        first = await kept.claim("w1", OVER, 1)
        step = StepState(phase="Running", tries=1, started=1.5, outputs={"x": [1, "é"]})
        await kept.write(first, first.found.run, {"one": step}, [event(1, "step", name="one")])
        second = await kept.claim("w2", LONG, 1)
        assert (second.name, second.epoch) == ("a", first.epoch + 1)
        assert second.found.steps == {"one": step}
        for late in (
            lambda: kept.write(first, first.found.run, {}, []),
            lambda: kept.write(first, first.found.run, {}, [], ends=True),
            lambda: kept.renew(first, LONG),
        ):
            with pytest.raises(LostError):
                await late()
        await kept.release(first)
        assert await kept.claim("w3", LONG, 9) is None
        assert await kept.renew(second, LONG) == ""
        await kept.release(second)
        assert (await kept.claim("w3", LONG, 9)).name == "a"


async def test_the_last_write_may_be_repeated_and_no_other_comes_after_it(section):
    async with store(section) as kept:
        await kept.submit(run("a"), 1, "queue")
        claim = await kept.claim("w1", LONG, 1)
        done = replace(claim.found.run, phase="Succeeded", output={"x": 1}, ended=5.0)
        for _ in range(2):
            await kept.write(claim, done, {}, [event(1, "run")], ends=True)
        with pytest.raises(LostError):
            await kept.write(claim, replace(done, output={}), {}, [], ends=True)
        assert (await kept.get("a")).run.output == {"x": 1}
        assert len(await kept.events("a", 0)) == 1
        assert await kept.claim("w2", LONG, 9) is None


async def test_events_are_kept_once_in_their_order(section):
    async with store(section) as kept:
        await kept.submit(run("a"), 1, "queue")
        claim = await kept.claim("w1", LONG, 1)
        events = [event(number, "step", number=number) for number in range(1, 12)]
        for part in (events[:4], events[2:], events):
            await kept.write(claim, claim.found.run, {}, part)
        assert await kept.events("a", 0) == events
        assert await kept.events("a", 9) == events[9:]
        assert await kept.events("a", 11) == []


@pytest.mark.parametrize("policy", ["queue", "reject", "replace"])
async def test_further_runs_wait_are_refused_or_end_the_oldest(section, policy):
    async with store(section) as kept:
        for number in range(3):
            await kept.submit(run(f"r{number}"), 3, policy)
        held = await kept.claim("w1", LONG, 3)
        if policy == "reject":
            with pytest.raises(RejectedError):
                await kept.submit(run("more"), 3, policy)
            await kept.submit(run("r1"), 3, policy)  # it is there
            return
        await asyncio.gather(*(kept.submit(run(f"more{n}"), 3, policy) for n in range(2)))
        stops = [(await kept.get(f"r{number}")).stop for number in range(3)]
        ended = "Replaced" if policy == "replace" else ""
        assert stops == [ended, ended, ""]
        assert await kept.renew(held, LONG) == ended


async def test_who_is_asked_to_end_is_taken_whatever_the_limit(section):
    async with store(section) as kept:
        for name in ("a", "b", "c"):
            await kept.submit(run(name), 1, "queue")
        held = await kept.claim("w1", LONG, 1)
        assert await kept.stop("c", "Cancelled")
        assert await kept.stop("c", "Replaced")
        taken = await kept.claim("w2", LONG, 1)
        assert (taken.name, taken.found.stop) == ("c", "Cancelled")
        assert await kept.stop("a", "Cancelled")
        assert await kept.renew(held, LONG) == "Cancelled"
        await kept.write(held, replace(held.found.run, phase="Failed"), {}, [], ends=True)
        assert not await kept.stop("a", "Cancelled")
        assert not await kept.stop("nowhere", "Cancelled")


async def test_who_is_asked_to_end_begins_nothing_and_does_not_succeed(section):
    async with store(section) as kept:
        await kept.submit(run("a"), 1, "queue")
        held = await kept.claim("w1", LONG, 1)
        begun = replace(held.found.run, phase="Running", events=1)
        steps = {"one": StepState(phase="Running")}
        await kept.write(held, begun, steps, [event(1, "step")], goes_on=True)
        assert await kept.stop("a", "Cancelled")
        await kept.write(held, begun, steps, [event(1, "step")], goes_on=True)  # it was kept before
        further = replace(begun, events=2)
        done = replace(further, phase="Succeeded")
        for late, ends in ((further, False), (done, True)):
            with pytest.raises(StoppedError) as refused:
                await kept.write(
                    held, late, {"two": StepState()}, [event(2, "x")], ends=ends, goes_on=True
                )
            assert refused.value.reason == "Cancelled"
        assert (await kept.get("a")).run.phase == "Running"
        await kept.write(held, further, {"one": StepState(phase="Succeeded")}, [event(2, "step")])
        failed = replace(further, phase="Failed", events=3)
        for _ in range(2):
            await kept.write(held, failed, {}, [event(3, "run")], ends=True)
        with pytest.raises(LostError):
            await kept.write(held, replace(failed, events=4), {}, [], goes_on=True)
        found = await kept.get("a")
        assert (found.run.phase, [*found.steps]) == ("Failed", ["one"])
        assert [one.kind for one in await kept.events("a", 0)] == ["step", "step", "run"]


async def test_a_run_that_has_failed_begins_again_once(section):
    async with store(section) as kept:
        await kept.submit(run("a"), 1, "queue")
        claim = await kept.claim("w1", LONG, 1)
        steps = {
            "one": StepState(phase="Succeeded", tries=1, outputs={"x": 1}),
            "two": StepState(phase="Failed", tries=3, failures=3, code="x"),
        }
        failed = replace(claim.found.run, phase="Failed", reason="StepFailed", events=1)
        await kept.write(claim, failed, steps, [event(1, "run")], ends=True)
        found = await kept.get("a")
        begun, left = again_from(found.run, found.steps)
        begun = replace(begun, events=2)
        asked = [kept.reopen(found, begun, left, event(2, "again")) for _ in range(4)]
        assert sorted(await asyncio.gather(*asked)) == [False, False, False, True]
        again = await kept.claim("w2", LONG, 1)
        assert again.epoch > claim.epoch
        assert again.found.steps == {"one": steps["one"], "two": StepState(tries=3)}
        assert again.found.run.created == found.run.created
        assert [one.kind for one in await kept.events("a", 0)] == ["run", "again"]


async def test_runs_are_listed_newest_first_page_by_page(section):
    async with store(section) as kept:
        for number in range(30):
            await kept.submit(run(f"r{number}"), 99, "queue")
        claim = await kept.claim("w", LONG, 9)
        await kept.write(claim, replace(claim.found.run, phase="Succeeded"), {}, [], ends=True)
        names, before = [], None
        while page := await kept.page("", before, 2):
            names += [found.run.name for found in page]
            before = cursor(token(page[-1].run))
        assert names == [f"r{number}" for number in reversed(range(30))]
        assert [one.run.name for one in await kept.page("Succeeded", None, 9)] == ["r0"]
        assert len(await kept.page("Pending", None, 99)) == 29


async def test_what_is_open_is_counted_and_what_is_over_goes(section):
    async with store(section) as kept:
        assert await kept.counts() == Counts()
        for number in range(4):
            await kept.submit(run(f"r{number}"), 9, "queue")
        await kept.claim("w1", OVER, 9)
        held = await kept.claim("w2", LONG, 9)
        counts = await kept.counts()
        assert (counts.pending, counts.running) == (3, 1)
        assert counts.oldest_pending > 0
        await kept.write(
            held,
            replace(held.found.run, phase="Failed"),
            {"one": StepState()},
            [event(1, "run")],
            ends=True,
        )
        assert await kept.expire(LONG) == 0
        assert await kept.expire(-1.0) == 1
        assert await kept.get(held.name) is None
        assert await kept.events(held.name, 0) == []
        assert (await kept.counts()).pending == 3
        assert len(await kept.page("", None, 9)) == 3


async def test_one_run_is_taken_by_its_name(section):
    async with store(section) as kept:
        for name in ("a", "b", "c"):
            await kept.submit(run(name), 2, "queue")
        claims = [
            await kept.claim(f"w{number}", LONG, 2, name)
            for number, name in enumerate(("c", "c", "nowhere", "a", "b"))
        ]
        assert [claim and claim.name for claim in claims] == ["c", None, None, "a", None]
        await kept.stop("b", "Cancelled")
        assert (await kept.claim("w", LONG, 2, "b")).name == "b"
        await kept.release(claims[0])
        assert await kept.claim("x", LONG, 2, "a") is None
        assert (await kept.claim("y", LONG, 2, "c")).name == "c"


@pytest.mark.parametrize("how", [*unreadable("a")])
async def test_one_run_that_cannot_be_read_blocks_no_others(section, how):
    async with store(section) as kept:
        await kept.submit(run("a"), 1, "reject")
        await kept.submit(run("b"), 1, "queue")
        await overwrite(kept, "a", unreadable("a")[how])
        with pytest.raises(AsideError, match=r"run a: .* cannot be read"):
            await kept.claim("w1", LONG, 1)
        held = await kept.claim("w1", LONG, 1)
        assert held.name == "b"
        counts = await kept.counts()
        assert (counts.pending, counts.running) == (1, 1)
        assert counts.oldest_pending > 0
        await kept.write(held, replace(held.found.run, phase="Succeeded"), {}, [], ends=True)
        await kept.submit(run("c"), 1, "reject")
        await kept.submit(run("d"), 1, "replace")
        assert [(await kept.claim(f"w{n}", LONG, 2)).name for n in (2, 3)] == ["c", "d"]
        assert (await kept.get("c")).stop == "Replaced"
        assert await kept.claim("w4", LONG, 9) is await kept.claim("w4", LONG, 9, "a") is None
        assert [found.run.name for found in await kept.page("", None, 9)] == ["d", "c", "b", "a"]


@pytest.mark.parametrize("phase", ["Pending", "Running"])
async def test_a_run_that_can_be_read_again_goes_on_within_the_limit(section, phase, monkeypatch):
    for module in (sql, redis):
        monkeypatch.setattr(module, "ASIDE_SECONDS", OVER)
    async with store(section) as kept:
        await kept.submit(run("a"), 1, "queue")
        await kept.submit(run("b"), 1, "queue")
        if phase == "Running":
            first = await kept.claim("w1", OVER, 1)
            await kept.write(first, replace(first.found.run, phase=phase), {}, [])
        body = run_json((await kept.get("a")).run).decode()
        await overwrite(kept, "a", "{half")
        for _ in range(2):
            with pytest.raises(AsideError):
                await kept.claim("w2", LONG, 1)
        (listed,) = [one.run for one in await kept.page(phase, None, 9) if one.run.name == "a"]
        assert (listed.phase, listed.reason) == (phase, "Unreadable")
        with pytest.raises(UnreadableRecordError):
            await kept.get("a")
        held = await kept.claim("w3", LONG, 1, "b")
        await overwrite(kept, "a", body)
        assert await kept.claim("w4", LONG, 1) is None
        await kept.write(held, replace(held.found.run, phase="Succeeded"), {}, [], ends=True)
        again = await kept.claim("w4", LONG, 1)
        assert (again.name, again.found.run.phase) == ("a", phase)
        with pytest.raises(RejectedError):
            await kept.submit(run("c"), 1, "reject")
        await kept.write(again, replace(again.found.run, phase="Succeeded"), {}, [], ends=True)
        assert await kept.counts() == Counts()


async def test_many_who_ask_at_once_get_one_run_each_and_no_more_than_the_limit(section):
    async with store(section) as kept:
        await asyncio.gather(*(kept.submit(run(f"r{n}"), 9, "queue") for n in range(12)))
        taken = await asyncio.gather(*(kept.claim(f"w{n}", LONG, 5) for n in range(20)))
        names = [claim.name for claim in taken if claim]
        assert len(names) == len({*names}) == 5


async def test_other_workflows_in_the_same_place_are_not_seen(section):
    async with store(section) as kept, store(section, "other") as other:
        await kept.submit(run("a"), 1, "queue")
        assert await other.get("a") is None
        assert await other.claim("w", LONG, 9) is None
        assert await other.page("", None, 9) == []


async def test_who_falls_silent_in_a_transaction_keeps_nobody_waiting(
    request, tmp_path, monkeypatch
):
    """A process that stops, or is cut off, between two statements: PostgreSQL would keep its locks for hours."""
    monkeypatch.setattr(postgres, "SILENT_MILLISECONDS", 300)
    section = memory("postgres", request, tmp_path)
    async with store(section) as stopped, store(section) as kept:
        await kept.submit(run("a"), 1, "queue")
        reached = asyncio.Event()

        async def stops(tx):
            reached.set()
            await asyncio.sleep(1.5)
            return await tx.now()

        asleep = asyncio.create_task(stopped._do(stops, alone=True))
        await reached.wait()
        claim = await kept.claim("w", LONG, 1)
        assert claim.name == "a"
        assert not asleep.done()
        await asyncio.wait([asleep])
        asleep.exception()
