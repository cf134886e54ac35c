from vsanimesr.lru import Lru


def test_forgets_the_least_recently_used():
    store = Lru[int, str](2)
    store.put(1, "a")
    store.put(2, "b")
    assert store.get(1) == "a"
    store.put(3, "c")
    assert 2 not in store
    assert (store.get(1), store.get(3)) == ("a", "c")


def test_peeking_is_no_use():
    store = Lru[int, str](2)
    store.put(1, "a")
    store.put(2, "b")
    assert store.peek(1) == "a"
    store.put(3, "c")
    assert 1 not in store


def test_pinned_values_stay_and_go_when_released():
    pinned = {1, 2}
    store = Lru[int, str](1, pinned.__contains__)
    for key in (1, 2, 3):
        store.put(key, "x")
    assert all(key in store for key in (1, 2, 3))
    pinned.clear()
    store.put(4, "x")
    assert [key for key in (1, 2, 3, 4) if key in store] == [4]


def test_the_newest_stays_even_when_everything_else_is_pinned():
    store = Lru[int, str](1, lambda key: key != 9)
    store.put(1, "x")
    store.put(9, "x")
    assert 9 in store
