"""Meta-groups as a training set."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaproof.core import DataError
from personaproof.data import MetaGroup
from personaproof.harden.air.groups import GroupSet, MetaGroupSampler, check_whole, schedule


def test_a_set_has_one_shape(make_group: Callable[..., MetaGroup]) -> None:
    with pytest.raises(DataError, match=r"1 of 1 \+ 2, 1 of 1 \+ 3|1 of 1 \+ 3, 1 of 1 \+ 2"):
        GroupSet((make_group(1), make_group(2, open_=3)))


def test_rows_are_groups_one_after_the_other(toy_groups: GroupSet) -> None:
    rows = toy_groups.rows()
    assert [(row["group"], row["place"]) for row in rows[:4]] == [
        (toy_groups.groups[0].id, 0),
        (toy_groups.groups[0].id, 1),
        (toy_groups.groups[0].id, 2),
        (toy_groups.groups[1].id, 0),
    ]
    assert rows[1]["prompt"][0] == {"role": "system", "content": "You are sailor 0."}
    assert toy_groups.counts == {"toy.anchor": 6, "toy.open": 12}
    assert toy_groups.rewards == ["choice"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 5), st.integers(1, 12), st.integers(0, 3))
def test_every_step_is_full_and_every_domain_gets_its_share(
    sizes: list[int], per_step: int, steps: int, seed: int
) -> None:
    domains = [str(domain) for domain, size in enumerate(sizes) for _ in range(size)]
    if per_step > len(domains):
        with pytest.raises(DataError, match="cannot be filled"):
            schedule(domains, per_step, steps, seed)
        return
    plan = schedule(domains, per_step, steps, seed)
    assert plan == schedule(domains, per_step, steps, seed)
    assert all(len(set(step)) == per_step for step in plan)
    drawn = Counter(domains[index] for step in plan for index in step)
    for domain, size in enumerate(sizes):
        assert abs(drawn[str(domain)] - size / len(domains) * steps * per_step) <= len(sizes)
        # No group is drawn again before all of its domain have been, but for those that were in hand.
        times = Counter(index for step in plan for index in step if domains[index] == str(domain))
        counts = [times[index] for index in range(len(domains)) if domains[index] == str(domain)]
        assert max(counts) - min(counts) <= 2


def test_the_sampler_keeps_groups_whole(toy_groups: GroupSet) -> None:
    sampler = MetaGroupSampler([[2, 0], [5, 1]], toy_groups.size, generations=2, repeats=2)
    indices = list(sampler)
    assert len(sampler) == len(indices) == 2 * 2 * 2 * 3 * 2
    assert indices[:6] == [6, 6, 7, 7, 8, 8]
    assert indices[:12] == indices[12:24]
    rows = toy_groups.rows()
    check_whole([rows[index] for index in indices[:12]], 2)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_split_group_is_refused(toy_groups: GroupSet, cut: int) -> None:
    rows = toy_groups.rows()
    indices = list(MetaGroupSampler([[0, 1]], toy_groups.size, 2, 1))
    with pytest.raises(DataError, match="is split"):
        check_whole([rows[index] for index in indices[cut:]], 2)
    with pytest.raises(DataError, match="is split"):
        check_whole([rows[index] for index in indices if rows[index]["place"] != 0], 2)
