-- Replays of the size that the gates judge.
select *
from {{ source('research', 'corpus_replays') }}
where size_model = {{ word('size_model', ['analytical', 'desk']) }}
