"""A part of the hostile corpus; ``python -m bench.bad_input`` runs the whole."""

import numpy as np

from bench.bad_input import bad_cells, bad_files, run


def test_no_bad_file_or_cell_is_taken_and_every_row_is_accounted_for(seed: int) -> None:
    outcome = run(files=160, cells=700, seed=seed)
    assert outcome.faults == []
    assert (outcome.files, outcome.cells) == (160, 700)
    assert len(outcome.kinds) >= 15
    assert outcome.accepted + outcome.quarantined == outcome.rows
    assert min(outcome.accepted, outcome.quarantined, outcome.refused_files) > 0


def test_the_corpus_depends_on_its_seed_alone() -> None:
    def corpus(seed: int) -> list[object]:
        rng = np.random.default_rng(seed)
        files = [file for file in bad_files(rng, 32) if "Parquet" not in file.kind]
        return [*files, *bad_cells(rng, 700)]

    assert corpus(1) == corpus(1)
    assert corpus(1) != corpus(2)
