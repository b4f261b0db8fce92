import pytest

from adapters.db.engine import DatabaseUnreachable, begin, create_engine


def test_a_server_that_is_down_is_one_sentence_with_the_remedy() -> None:
    engine = create_engine("postgresql+psycopg://somebody:secret@127.0.0.1:1/propdesk", "test")
    with pytest.raises(DatabaseUnreachable) as caught, begin(engine):
        pass
    told = str(caught.value)
    assert "\n" not in told
    assert "Connection refused" in told
    assert "python3 run.py up" in told
    assert "secret" not in told
