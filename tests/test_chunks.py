"""Where encodes are cut."""

from hypothesis import given
from hypothesis import strategies as st

from vsanimesr.encode.chunks import Chunk, cut, middle


@given(
    length=st.integers(1, 3000),
    scenes=st.sets(st.integers(1, 2999)),
    block=st.integers(0, 300),
    least=st.integers(1, 400),
)
def test_chunks_are_the_film_and_begin_where_the_recurrence_does(length, scenes, block, least):
    starts = sorted(scene for scene in scenes if scene < length)
    chunks = cut(length, starts, block, least)
    assert [frame for one in chunks for frame in range(one.start, one.stop)] == list(range(length))
    assert [one.number for one in chunks] == list(range(len(chunks)))
    for one in chunks:
        assert one.start == 0 or one.start in scenes or (block and one.start % block == 0)
        assert len(one) >= least or len(chunks) == 1
        scenes_inside = [s for s in starts if one.start + least <= s <= min(one.stop, length) - 1]
        assert not scenes_inside or one is chunks[-1]
        if block and one is not chunks[-1]:
            assert len(one) < 2 * least + block


def test_a_scene_start_is_taken_before_a_block_start():
    assert cut(1000, [260, 300, 700], 120, 240) == [
        Chunk(0, 0, 260),
        Chunk(1, 260, 700),
        Chunk(2, 700, 1000),
    ]
    assert cut(1000, [], 120, 240) == [
        Chunk(0, 0, 240),
        Chunk(1, 240, 480),
        Chunk(2, 480, 720),
        Chunk(3, 720, 1000),
    ]
    assert cut(1000, [], 0, 240) == [Chunk(0, 0, 1000)]
    assert cut(4, [2], 1, 1) == [Chunk(n, n, n + 1) for n in range(4)]


def test_workers_are_compared_by_a_frame_that_costs_one_step():
    chunks = cut(1000, [95, 600], 20, 100)
    assert [chunk.start for chunk in chunks][:2] == [0, 100]
    assert middle(chunks, [95, 600]).start == 600
    assert middle(chunks, []) == chunks[0]
