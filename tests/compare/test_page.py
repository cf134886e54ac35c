"""The page in Chromium, by keyboard and mouse."""

import base64
import json
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

COLUMNS = ["1 bicubic", "2 own", "3 exact", "4 other"]
STATE = "return [document.body.dataset.drawn, {...document.body.dataset}]"
PIXELS = """
const canvas = document.querySelectorAll("canvas")[arguments[0]];
const {width, height} = canvas;
const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
return [width, height, btoa(Array.from(data, (c) => String.fromCharCode(c)).join(""))];
"""


class Page:
    """What a viewer does and sees."""

    def __init__(self, browser, folder):
        self.browser, self.folder = browser, folder
        browser.get((folder / "comparison.html").as_uri())
        self.settle()

    def settle(self):
        """Wait until nothing new is drawn; gives the page's state."""
        last = None
        for _ in range(100):
            drawn, state = self.browser.execute_script(STATE)
            if drawn and drawn == last:
                return state
            last = drawn
            time.sleep(0.05)
        raise AssertionError("the page draws on and on")

    def press(self, *keys):
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()
        return self.settle()

    def click(self, text):
        path = f"//button[normalize-space()='{text}']"
        self.browser.find_element("xpath", path).click()
        return self.settle()

    def canvas(self, which=0):
        """(h, w, 3) of what is on a canvas."""
        width, height, text = self.browser.execute_script(PIXELS, which)
        data = np.frombuffer(base64.b64decode(text), np.uint8)
        return data.reshape(height, width, 4)[..., :3]

    def picture(self, column, shot=0):
        """The PNG file of a column."""
        choice = json.loads((self.folder / "frames.json").read_text())["clips"][0]["frames"]
        name = f"{choice[shot]['frame']:04}.png"
        with Image.open(self.folder / "pictures/1 film" / COLUMNS[column] / name) as image:
            return np.asarray(image)

    def middle(self, which=0, zoom=1):
        """The part of a canvas where the picture is, centred."""
        canvas = self.canvas(which)
        height, width = 64 * zoom, 96 * zoom
        top = round(canvas.shape[0] / 2 - height / 2 + 1e-9)
        left = round(canvas.shape[1] / 2 - width / 2 + 1e-9)
        return canvas[top : top + height, left : left + width]

    def captions(self):
        found = self.browser.find_elements("css selector", ".pane p")
        return [one.text for one in found]


@pytest.fixture
def page(browser, compared):
    browser.get_log("browser")
    found = Page(browser, compared)
    yield found
    serious = [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
    assert not serious


def test_keys_switch_columns_at_100_percent(page):
    for column in range(4):
        state = page.press(str(column + 1))
        assert (state["first"], state["mode"], state["zoom"]) == (str(column), "one", "1")
        assert (page.middle() == page.picture(column)).all()
    page.press(Keys.ARROW_DOWN)
    assert (page.middle() == page.picture(0)).all()
    page.press("2", " ")
    assert (page.middle() == page.picture(1)).all(), "the first and second change places"
    page.press(Keys.ARROW_RIGHT)
    assert (page.middle() == page.picture(1, 1)).all()
    page.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert (page.middle() == page.picture(1, 19)).all(), "from the first to the last"


def test_what_stands_under_a_picture(page):
    choice = json.loads((page.folder / "frames.json").read_text())["clips"][0]["frames"]
    shot = next(i for i, one in enumerate(choice) if one["frame"] >= 20)
    page.press(*[Keys.ARROW_RIGHT] * shot)
    n = choice[shot]["frame"]
    (caption,) = page.captions()
    time_ = f"0:00:{int(n / 24):02}.{round(n / 24 % 1 * 1000):03}"
    scene = f"scene 2, its frame {n - 20}" if n < 44 else f"scene 3, its frame {n - 44}"
    assert caption == (
        f"bicubic frame {n} \u00b7 type unknown \u00b7 {time_} \u00b7 {scene} \u00b7 "
        f"{choice[shot]['why']}"
    )


def test_difference_times_n(page):
    state = page.press("2", "d")
    assert (state["mode"], state["first"], state["second"], state["gain"]) == (
        "difference",
        "1",
        "1",
        "8",
    )
    assert not page.middle().any(), "a column does not differ from itself"
    page.press("1")
    apart = np.abs(page.picture(0).astype(int) - page.picture(1))
    assert apart.any()
    for key, gain in (("", 8), ("+", 16), ("-", 8), ("-", 4)):
        state = page.press(*key)
        assert state["gain"] == str(gain)
        assert (page.middle() == (gain * apart).clip(0, 255)).all()


def test_slider_by_mouse_and_keys(page):
    state = page.press("1", "s")
    assert state["mode"] == "slider"
    both = page.canvas()
    edge = both.shape[1] // 2
    left, top = edge - 48, round(both.shape[0] / 2 - 32 + 1e-9)
    shown = both[top : top + 64, left : left + 96]
    assert (shown[:, :48] == page.picture(0)[:, :48]).all()
    assert (shown[:, 49:] == page.picture(1)[:, 49:]).all()
    canvas = page.browser.find_element("css selector", "canvas")
    width = canvas.size["width"]
    ActionChains(page.browser).move_to_element_with_offset(canvas, -width // 4, 0).perform()
    assert float(page.settle()["split"]) == pytest.approx(0.25, abs=0.01)
    assert (page.middle()[:, 1:] == page.picture(1)[:, 1:]).all()
    split = float(page.press("]")["split"])
    assert split == pytest.approx(0.3, abs=0.011)


def test_blink(page):
    page.press("1")
    state = page.browser.execute_script(STATE)[1]
    assert state["mode"] == "one"
    ActionChains(page.browser).send_keys("b").perform()
    seen = set()
    for _ in range(40):
        seen.add(
            page.browser.execute_script("return document.querySelector('.pane b').textContent")
        )
        time.sleep(0.05)
    assert seen == {"bicubic", "own"}
    assert page.press("q")["mode"] == "one"


def test_all_zoom_and_pan_together(page):
    state = page.press("a")
    assert state["mode"] == "all"
    assert [caption.split()[0] for caption in page.captions()] == [
        "bicubic",
        "own",
        "exact",
        "other",
    ]
    for column in range(4):
        assert (page.middle(column) == page.picture(column)).all()
    canvas = page.browser.find_elements("css selector", "canvas")[2]
    scroll = ActionChains(page.browser).scroll_from_origin
    scroll(ScrollOrigin.from_element(canvas), 0, -100).perform()
    assert page.settle()["zoom"] == "2"
    before = [page.canvas(i) for i in range(4)]
    chain = ActionChains(page.browser).move_to_element(canvas).click_and_hold()
    chain.move_by_offset(30, -14).release().perform()
    state = page.settle()
    assert float(state["x"]) == pytest.approx(0.5 - 30 / 192, abs=0.011)
    for i in range(4):
        after = page.canvas(i)
        assert (after[:-14, 30:] == before[i][14:, :-30]).all(), "moved by the same"
    assert page.press("z")["zoom"] == "1"
    assert float(page.press("f")["zoom"]) > 1


def test_buttons_and_the_list_of_frames(page):
    assert page.click("3 exact")["first"] == "2"
    assert page.click("Slider")["mode"] == "slider"
    assert page.click("One")["mode"] == "one"
    page.browser.find_elements("css selector", "#shots option")[5].click()
    assert page.settle()["shot"] == "5"
    assert (page.middle() == page.picture(2, 5)).all()
    page.press("h")
    box = page.browser.find_element("id", "help")
    assert box.is_displayed()
    box.click()
    assert not box.is_displayed()


def test_strips_and_measures_are_there(page):
    strips = page.browser.find_elements("css selector", "img.strip")
    assert len(strips) == 3 * 4
    loaded = "return Array.from(document.querySelectorAll('img.strip'), i => i.naturalHeight)"
    assert page.browser.execute_script(loaded) == [60] * 12
    page.press("t")
    assert page.browser.execute_script("return scrollY") > 0
    cells = page.browser.find_elements("css selector", "tbody tr:first-child td")
    means = json.loads((page.folder / "measures.json").read_text())[0]["columns"][0]["means"]
    assert cells[0].text == f"{means['faithful']:.2f}"
    assert len(cells) == len(means)


def test_nothing_is_fetched(page):
    asked = [json.loads(one["message"])["message"] for one in page.browser.get_log("performance")]
    urls = {
        one["params"]["request"]["url"]
        for one in asked
        if one["method"] == "Network.requestWillBeSent"
    }
    assert urls
    assert all(url.startswith(("file:", "data:", "blob:")) for url in urls), urls
