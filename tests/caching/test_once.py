"""What takes long is made once, however many ask; bounded; what fails may be tried again."""

import threading

import pytest

from caching.once import Once

WAIT_S = 60


def test_who_asks_meanwhile_waits_for_the_same_one():
    once, begun, go = Once(4), threading.Event(), threading.Event()
    made, found = [], []

    def make():
        begun.set()
        assert go.wait(WAIT_S)
        made.append(1)
        return "a"

    def ask():
        found.append(once.get("key", make))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(WAIT_S)
    assert once.find("key") is None, "looking waits for nobody"
    assert once.get("other", lambda: "b") == "b", "nor do other keys"
    go.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert found == ["a"] * 3 and made == [1] and once.find("key") == "a"


def test_the_ones_used_longest_ago_go():
    once = Once(2)
    for key in (1, 2):
        once.get(key, lambda key=key: key * 10)
    assert once.find(1) == 10
    once.get(3, lambda: 30)
    assert [once.find(key) for key in (1, 2, 3)] == [10, None, 30]


def test_what_failed_may_be_tried_again():
    once = Once(2)

    def fails():
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        once.get("key", fails)
    assert once.find("key") is None and once.get("key", lambda: 7) == 7
