import random

import pytest

from cosystream.engines.cosyvoice.pages import PagePool


def test_pages_are_taken_all_or_none() -> None:
    pool = PagePool(5)
    taken = pool.take(3)
    assert taken is not None
    assert len(set(taken)) == 3
    assert pool.take(3) is None
    assert pool.num_free == 2
    assert pool.take(0) == ()


def test_a_page_is_free_once_its_last_holder_has_given_it_back() -> None:
    pool = PagePool(2)
    pages = pool.take(2)
    assert pages is not None
    pool.share(pages[:1])
    pool.give_back(pages)
    assert pool.num_free == 1
    pool.give_back(pages[:1])
    assert pool.num_free == 2


def test_a_free_page_can_neither_be_shared_nor_given_back() -> None:
    pool = PagePool(2)
    for act in (pool.share, pool.give_back):
        with pytest.raises(AssertionError, match="page 1 is free"):
            act([1])


@pytest.mark.parametrize("seed", range(20))
def test_no_page_is_taken_twice_and_all_come_back(seed: int) -> None:
    rng, pool = random.Random(seed), PagePool(30)
    held: list[int] = []  # a page once for each holder
    for _ in range(500):
        match rng.choice("tsgg"):
            case "t":
                taken = pool.take(number := rng.randint(0, 6))
                assert (taken is None) == (number > 30 - len(set(held)))
                assert not set(taken or ()) & set(held)
                held += taken or ()
            case "s":
                pages = rng.sample(held, min(len(held), 3))
                pool.share(pages)
                held += pages
            case "g":
                rng.shuffle(held)
                pool.give_back(held[:5])
                del held[:5]
        assert pool.num_free == 30 - len(set(held))
    pool.give_back(held)
    assert pool.num_free == 30
