from propdesk.core.clock import RisingClock


class Wall:
    """A clock that anybody may set."""

    time_ns = 1_000

    def now_ns(self) -> int:
        return self.time_ns


def test_what_is_measured_goes_on_where_the_clock_is_set_back() -> None:
    wall = Wall()
    rising = RisingClock(wall)
    seen = []
    for wall.time_ns in (1_000, 1_005, 400, 407, 407, 2_000):
        seen.append(rising.now_ns())
    assert seen == [1_000, 1_005, 1_005, 1_012, 1_012, 2_605]
