"""The console in a real Chromium, on a real receiver, worker, Redis and Events API.

One test, because all its parts share what is expensive to start.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from apitraffic_events.timestamps import format_timestamp, now
from tests.support.browser import Watched, chromium
from tests.support.programs import stop_all
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

SECRET: Final = "the-secret-of-our-own-events-0123"
TOKEN: Final = "the-token-of-the-console-0123456789"
HOSTILE: Final = '<img src=x onerror="window.hacked = 1">\'"</script><script>window.hacked = 2</script>'
PAGES: Final = ("/", "/deliveries", "/problems", "/sources", "/try", "/events/new")
READY: Final = r"console listens url=(?P<url>\S+)"


@dataclass(frozen=True)
class Journey:
    """What all parts of the test share."""

    stack: Stack
    browser: Browser
    watched: Watched

    @property
    def page(self) -> Page:
        return self.watched.page


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path) as stack:
        stack.environment |= {"EVENTS_WEBHOOK_SECRET": SECRET, "APITRAFFIC_KEEP_PAYLOADS": "50"}
        stack.receiver.start()
        stack.worker.start()
        yield stack


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def send(stack: Stack, **event: Any) -> None:
    answer = requests.post(
        f"{stack.url}/webhooks/events",
        json=event,
        headers={"Authorization": f"Bearer {SECRET}"},
        timeout=10,
    )
    assert answer.status_code == 202, answer.text


def ago(minutes: int) -> str:
    return format_timestamp(now() - timedelta(minutes=minutes))


def drawn(page: Page, path: str = "/?range=1h") -> None:
    page.goto(path)
    page.wait_for_selector("#charts[data-drawn=yes]")


def an_empty_account_is_said_to_be_empty(journey: Journey) -> None:
    page = journey.page
    drawn(page)
    expect(page.locator("#events")).to_contain_text("There are no events yet")


def an_event_made_by_hand_is_on_the_chart_and_what_is_wrong_stands_at_its_field(journey: Journey) -> None:
    page = journey.page
    page.get_by_role("link", name="New event").click()
    page.get_by_label("Name", exact=True).fill("Failover by hand")
    page.get_by_role("radio", name="incident").check(force=True)
    page.get_by_label("Start").fill("2026-11-28T12:00:00")
    page.get_by_label("End").fill("2026-11-28T11:00:00")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#endedAt-error")).to_contain_text("before the start")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Failover by hand")
    page.get_by_label("Start").fill("")
    page.get_by_label("End").fill("")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_contain_text("Created")
    drawn(page)
    page.get_by_role("link", name=re.compile("incident, Failover by hand")).hover()
    expect(page.get_by_role("tooltip")).to_contain_text("open")


def it_is_closed_with_its_resolution_reopened_and_deleted(journey: Journey) -> None:
    page = journey.page
    stack = journey.stack
    page.locator("#events").get_by_role("link", name="Failover by hand").click()
    page.get_by_text("Close", exact=True).click()
    page.get_by_label("How did it end?").fill("The replica took over")
    page.get_by_role("button", name="Close the event").click()
    expect(page.locator(".description")).to_have_text("The replica took over")
    page.get_by_role("button", name="Reopen").click()
    expect(page.locator(".facts")).to_contain_text("open")
    page.get_by_text("Delete", exact=True).click()
    page.get_by_role("button", name="Delete the event").click()
    expect(page.get_by_role("status")).to_contain_text("Deleted")
    assert stack.events() == []


def an_incident_of_a_webhook_appears_by_itself_and_closes_by_itself(journey: Journey) -> None:
    page = journey.page
    stack = journey.stack
    # For later parts, so that nobody waits for these.
    stack.api.set_faults(["POST:status=422x1"])
    send(stack, type="scale", name="4 to 6 nodes", key="nodes")
    wait_until(lambda: not stack.api.faults(), "the API has refused it")
    metadata = {"commit_message": HOSTILE, "url": "javascript:window.hacked = 3"}
    send(stack, type="deployment", name=f"Deploy {HOSTILE}", key="evil", metadata=metadata)
    drawn(page)
    send(stack, type="incident", name="Checkout is slow", key="slow", effect="open")
    row = page.get_by_role("row", name=re.compile("Checkout is slow"))
    expect(row).to_contain_text("open", timeout=15_000)
    expect(page.locator(".flag[aria-label*='Checkout is slow']")).to_be_visible()
    send(stack, type="incident", name="Checkout is slow", key="slow", effect="close")
    expect(row).to_contain_text("resolved", timeout=15_000)
    row.get_by_role("link").click()
    history = page.locator(".history").first
    expect(history).to_contain_text("open")
    expect(history).to_contain_text("close")
    expect(page.get_by_text("2 deliveries of the last three days")).to_be_visible()


def a_hostile_payload_is_shown_as_text(journey: Journey) -> None:
    page = journey.page
    drawn(page)
    row = page.get_by_role("row", name=re.compile("Deploy <img"))
    expect(row).to_be_visible(timeout=15_000)
    page.locator(".flag").first.hover()
    expect(page.get_by_role("tooltip")).to_be_visible()
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>window.hacked = 2")
    expect(page.get_by_role("link", name="javascript:")).to_have_count(0)
    for path in ("/deliveries", "/problems"):
        page.goto(path)
    assert page.evaluate("window.hacked") is None


def filters_are_in_the_address_and_a_colleague_who_opens_it_sees_the_same(journey: Journey) -> None:
    page = journey.page
    drawn(page)
    page.get_by_role("checkbox", name="incident").check(force=True)
    page.wait_for_url("**type=incident**")
    expect(page.locator("#events tbody tr")).to_have_count(1)
    drawn(page, page.url)
    expect(page.get_by_role("checkbox", name="incident")).to_be_checked()
    expect(page.locator("#events tbody tr")).to_have_count(1)


def a_range_is_chosen_by_dragging_and_a_double_click_leads_back(journey: Journey) -> None:
    page = journey.page
    drawn(page)
    area = page.locator("#throughput .u-over").bounding_box()
    assert area
    y = area["y"] + 50
    page.mouse.move(area["x"] + area["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.9, y, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=**")
    page.mouse.dblclick(area["x"] + 300, y)
    page.wait_for_url("**range=1h**")


def a_dead_letter_is_replayed_and_the_page_says_what_came_of_it(journey: Journey) -> None:
    page = journey.page
    page.goto("/problems")
    letter = page.get_by_role("checkbox", name="Choose 4 to 6 nodes")
    expect(letter).to_be_visible(timeout=15_000)
    letter.check()
    page.locator("form", has=letter).get_by_role("button", name="Replay chosen").click()
    expect(page.locator("#results")).to_contain_text("delivered", timeout=15_000)


def a_refused_delivery_is_explained(journey: Journey) -> None:
    page = journey.page
    stack = journey.stack
    headers = {"X-GitHub-Event": "push", "Content-Type": "application/json"}
    answer = requests.post(f"{stack.url}/webhooks/github", json={}, headers=headers, timeout=10)
    assert answer.status_code == 401
    page.goto("/deliveries?status=refused")
    row = page.get_by_role("row", name=re.compile("refused"))
    expect(row).to_contain_text("X-Hub-Signature-256 is missing", timeout=15_000)
    expect(row).to_contain_text("127.0.0.1")
    page.goto("/sources")
    github = page.get_by_role("row", name=re.compile("GitHub"))
    expect(github).to_contain_text("X-Hub-Signature-256 is missing")


def a_delivery_is_shown_whole_and_sent_again(journey: Journey) -> None:
    page = journey.page
    page.goto("/deliveries?q=Checkout")
    page.locator("#deliveries tbody a").last.click()
    expect(page.locator("pre")).to_contain_text('"effect": "open"')
    assert SECRET not in page.content()
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_role("status")).to_contain_text("accepted")
    page.get_by_role("button", name="What would it become now?").click()
    expect(page.locator(".try")).to_contain_text("Checkout is slow")


def a_payload_is_tried_out_with_other_routes_beside_it(journey: Journey) -> None:
    page = journey.page
    page.goto("/try")
    page.get_by_label("Sender").select_option("events")
    page.get_by_label("Payload").fill('{"type": "scale", "name": "4 to 6 nodes"}')
    expect(page.locator(".try")).to_contain_text("4 to 6 nodes")
    page.get_by_label("Routes").fill('[[route]]\nname = "Scaled"\n')
    expect(page.locator("ins")).to_have_text("Scaled")


def the_keyboard_alone_is_enough(journey: Journey) -> None:
    page = journey.page
    drawn(page)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('flag')"):
            break
    expect(page.get_by_role("tooltip")).to_be_visible()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_url("**/events/evt_*")


def a_deploy_and_an_incident_link_to_what_they_have_to_do_with(journey: Journey) -> None:
    page, stack = journey.page, journey.stack
    facts = {"repository": "acme/shop", "repository_url": "https://github.com/acme/shop", "status": "success"}

    def deploy(version: str, commit: str, minutes: int) -> None:
        metadata = facts | {"release": version, "commit": commit * 40}
        event = {"type": "deployment", "name": f"Deploy {version}", "key": version, "metadata": metadata}
        send(stack, **event, startedAt=ago(minutes))

    deploy("v1.0", "1", 150)
    send(stack, type="config_change", name=f"Flag {HOSTILE}", key="flag", startedAt=ago(140))
    deploy("v2.0", "2", 130)
    send(stack, type="incident", name="Cart is down", key="down", effect="open", startedAt=ago(126))

    def of(name: str) -> dict[str, Any]:
        return next((event for event in stack.events() if event["name"] == name), {"metadata": {}})

    def is_told() -> bool:
        deploy, incident = of("Deploy v2.0")["metadata"], of("Cart is down")["metadata"]
        return {"previous_version", "incidents_after"} <= deploy.keys() and "suspects" in incident

    wait_until(is_told, "the markers speak of each other")
    page.goto(f"/events/{of('Deploy v2.0')['sid']}")
    around = page.locator("#around")
    expect(around).to_contain_text("v1.0, deployed 20 min earlier")
    compare = f"https://github.com/acme/shop/compare/{'1' * 40}...{'2' * 40}"
    expect(around.get_by_role("link", name="compare")).to_have_attribute("href", compare)
    expect(around).to_contain_text(f"Flag {HOSTILE}")
    assert page.evaluate("window.hacked") is None
    assert journey.watched.faults() == []
    link = around.get_by_role("link", name="Cart is down")

    def is_linked() -> bool:
        """The console links what it knows already, and asks for the events only now and then."""
        if not link.count():
            page.reload()
        return bool(link.count())

    wait_until(is_linked, "the incident is linked")
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cart is down")
    expect(around).to_contain_text("4 min before Deploy v2.0")
    around.get_by_role("link", name="Deploy v2.0").click()
    around.get_by_role("link", name="v1.0").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Deploy v1.0")


def axe_finds_no_serious_fault(journey: Journey) -> None:
    page = journey.page
    for path in PAGES:
        page.goto(path)
        if path == "/":
            page.wait_for_selector("#charts[data-drawn=yes]")
        assert journey.watched.faults() == [], path
    page.emulate_media(color_scheme="dark")
    drawn(page)
    assert journey.watched.faults() == []


def an_api_that_is_away_is_said_in_words_and_the_page_recovers_by_itself(journey: Journey) -> None:
    page = journey.page
    stack = journey.stack
    stack.api.kill()
    expect(page.locator("#problem")).to_contain_text("does not answer", timeout=15_000)
    expect(page.get_by_role("row", name=re.compile("Checkout is slow"))).to_be_visible()
    stack.api.start()
    expect(page.locator("#problem")).to_be_hidden(timeout=20_000)


def so_is_redis(journey: Journey) -> None:
    page = journey.page
    stack = journey.stack
    page.goto("/deliveries")
    stack.redis_process.kill()
    expect(page.get_by_role("alert")).to_contain_text("Redis", timeout=15_000)
    stack.redis_process.start()
    expect(page.get_by_role("row", name=re.compile("Checkout is slow")).first).to_be_visible(timeout=15_000)


def nothing_is_loaded_from_elsewhere_and_the_browser_has_nothing_to_complain_about(journey: Journey) -> None:
    assert journey.watched.elsewhere == []
    assert journey.watched.complaints == []


def samples_of_a_sender_are_sent_through_the_receiver(journey: Journey) -> None:
    page = journey.page
    page.goto("/sources")
    github = page.get_by_role("row", name=re.compile("GitHub"))
    github.get_by_text("Send a sample").click()
    github.get_by_role("button", name="Send it all the same").click()
    expect(page.get_by_role("status")).to_contain_text("github deployment_status: accepted")


def who_does_not_know_the_token_sees_nothing(journey: Journey) -> None:
    stack = journey.stack
    stack.environment["APITRAFFIC_CONSOLE_TOKEN"] = TOKEN
    everywhere = "0.0.0.0"  # noqa: S104 - that is what needs a login
    program = stack.program("console", "--host", everywhere, "--port", "0", ready=READY).start()
    assert program.announced
    port = program.announced["url"].rpartition(":")[2]
    page = journey.browser.new_context(base_url=f"http://127.0.0.1:{port}").new_page()
    try:
        page.goto("/deliveries?status=refused")
        page.get_by_label("The console's token").fill("a wrong one")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#problem")).to_contain_text("not the console's token")
        page.get_by_label("The console's token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/deliveries?status=refused")
        page.get_by_role("button", name="Log out").click()
        page.goto("/")
        page.wait_for_url("**/login?next=**")
        # Another site's name for this address.
        answer = requests.get(f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"}, timeout=10)
        assert answer.status_code == 421
    finally:
        page.context.close()
        stop_all(program)


STEPS: Final[tuple[Callable[[Journey], None], ...]] = (
    an_empty_account_is_said_to_be_empty,
    an_event_made_by_hand_is_on_the_chart_and_what_is_wrong_stands_at_its_field,
    it_is_closed_with_its_resolution_reopened_and_deleted,
    an_incident_of_a_webhook_appears_by_itself_and_closes_by_itself,
    a_hostile_payload_is_shown_as_text,
    filters_are_in_the_address_and_a_colleague_who_opens_it_sees_the_same,
    a_range_is_chosen_by_dragging_and_a_double_click_leads_back,
    a_dead_letter_is_replayed_and_the_page_says_what_came_of_it,
    a_refused_delivery_is_explained,
    a_delivery_is_shown_whole_and_sent_again,
    samples_of_a_sender_are_sent_through_the_receiver,
    a_payload_is_tried_out_with_other_routes_beside_it,
    the_keyboard_alone_is_enough,
    a_deploy_and_an_incident_link_to_what_they_have_to_do_with,
    axe_finds_no_serious_fault,
    an_api_that_is_away_is_said_in_words_and_the_page_recovers_by_itself,
    so_is_redis,
    who_does_not_know_the_token_sees_nothing,
    nothing_is_loaded_from_elsewhere_and_the_browser_has_nothing_to_complain_about,
)
"""In this order: later ones find what earlier ones have made."""


@pytest.mark.timeout(300)  # a machine that is busy with other tests
def test_each_page_does_what_it_is_for(stack: Stack, browser: Browser, subtests: pytest.Subtests) -> None:
    program = stack.program("console", "--port", "0", "--receiver-url", stack.url, ready=READY).start()
    assert program.announced
    watched = Watched(browser, program.announced["url"])
    try:
        for step in STEPS:
            with subtests.test(step.__name__.replace("_", " ")):
                step(Journey(stack, browser, watched))
    finally:
        watched.close()
        stop_all(program)
