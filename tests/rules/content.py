"""Rules 10 to 15: what a release is."""

from __future__ import annotations

from tests.rules.guards import Guard

_SELECTION = "tests/curator/test_selection.py"
_WALK = "tests/curator/test_walk.py"
_RELEASE = "tests/curator/test_release.py"
_CURATION = "tests/curator/test_curation.py"
_SUBMISSION = "tests/curator/test_submission.py"
_CURATOR = "services/curator/longstream_curator"

CONTENT = (
    Guard(
        rule=10,
        says="an id is made of response, instruction, input, source and index",
        file=f"{_CURATOR}/submission.py",
        guard='digest("example", response, instruction, extra, item.source, "" if index is None else index)',
        without='digest("example", response, item.source)',
        tests=(f"{_SUBMISSION}::test_whatever_was_submitted_is_in_the_id",),
    ),
    Guard(
        rule=10,
        says="the caller's own id is no part of it",
        file=f"{_CURATOR}/submission.py",
        guard='digest("example", response, instruction, extra, item.source, "" if index is None else index)',
        without=(
            'digest("example", response, instruction, extra, item.source, "" if index is None else index, '
            "item.external_id)"
        ),
        tests=(f"{_SUBMISSION}::test_the_same_item_gets_the_same_id_in_every_retry",),
    ),
    Guard(
        rule=10,
        says="an id that came twice is held once by all that follows",
        file=f"{_CURATOR}/selection.py",
        guard="""\
        if candidate.id in self._kept:
            return (Change(Kind.IGNORED, candidate, "known"),)
""",
        without="",
        tests=(
            f"{_SELECTION}::test_retries_change_nothing",
            "tests/curator/test_replayed_examples.py::"
            "test_a_dead_example_that_is_replayed_twice_makes_one_row",
        ),
    ),
    Guard(
        rule=11,
        says="rank is length, source order, source index with absent ones last, id",
        file=f"{_CURATOR}/selection.py",
        guard="return Rank(-score, draw, -self.length, self.source_order, index is None, index or 0, self.id)",
        without="return Rank(-score, draw, -self.length, self.source_order, False, index or 0, self.id)",
        tests=(f"{_SELECTION}::test_rank_is_length_then_source_then_index_with_absent_last_then_id",),
    ),
    Guard(
        rule=11,
        says="the merged ranking is cut to the first m before it is walked",
        file=f"{_CURATOR}/walk.py",
        guard="first = list(islice(_distinct(places), m))",
        without="first = list(islice(_distinct(places), None))",
        tests=(f"{_WALK}::test_the_number_of_partitions_does_not_show",),
    ),
    Guard(
        rule=11,
        says="`exact` is judged against m",
        file=f"{_CURATOR}/walk.py",
        guard="full=len(first) == m, mark=mark)",
        without="full=False, mark=mark)",
        tests=(f"{_WALK}::test_a_walk_within_the_first_m_is_exact",),
    ),
    Guard(
        rule=11,
        says="draws hash the seed and the id",
        file="longstream/draws.py",
        guard="return place(*facts) / 2**52",
        without='return float(__import__("random").random())',
        tests=("tests/curator/test_split.py::test_where_an_example_belongs_never_changes",),
    ),
    Guard(
        rule=11,
        says="counts of the stream and times stay outside the hash",
        file=f"{_CURATOR}/release.py",
        guard="    hashed = hashed_part(content, stored)\n",
        without='    hashed = {**hashed_part(content, stored), "circumstances": asdict(circumstances)}\n',
        tests=(f"{_RELEASE}::test_counts_and_times_are_told_but_do_not_change_the_hash",),
    ),
    Guard(
        rule=11,
        says="the revision and m are inside",
        file=f"{_CURATOR}/release.py",
        guard="        **asdict(content),\n",
        without="",
        tests=(f"{_RELEASE}::test_another_revision_or_number_of_places_is_another_content",),
    ),
    Guard(
        rule=12,
        says="of duplicates the best-ranked survives, whichever came first",
        file=f"{_CURATOR}/selection.py",
        guard="        if candidate.rank < twin.rank:\n",
        without="        if False:\n",
        tests=(
            f"{_SELECTION}::test_the_best_duplicate_survives_and_the_place_of_the_other_is_free",
            f"{_SELECTION}::test_any_order_of_arrival_gives_the_exhaustive_sort",
        ),
    ),
    Guard(
        rule=12,
        says="`off` keeps them all",
        file=f"{_CURATOR}/selection.py",
        guard='        case "off":\n            return None\n',
        without='        case "off":\n            return digest("response", response)\n',
        tests=(f"{_SELECTION}::test_dedup_keys_tell_modes_and_texts_apart",),
    ),
    Guard(
        rule=12,
        says="erasing a survivor of duplicates clears `exact`",
        file=f"{_CURATOR}/selection.py",
        guard="""\
        if candidate.had_duplicates:
            # One of them should now stand in its place, and all have been dropped.
""",
        without="        if False:\n",
        tests=(
            f"{_WALK}::test_erasing_a_survivor_of_duplicates_in_a_partition_clears_exact",
            f"{_SELECTION}::test_only_erasing_a_survivor_of_duplicates_moves_the_mark",
        ),
    ),
    Guard(
        rule=12,
        says="an erased example keeps its slot, by rank and id, until the cut",
        file=f"{_CURATOR}/selection.py",
        guard="        self._slots[example_id] = slot\n        return",
        without="        return",
        tests=(f"{_SELECTION}::test_an_erased_one_keeps_its_slot_until_the_cut_and_is_refused_for_ever",),
    ),
    Guard(
        rule=13,
        says="a refusal revives nothing: the first outcome stands",
        file=f"{_CURATOR}/walk.py",
        guard="        if self._standing.get(example_id) is not _Standing.PENDING:\n            return False\n",
        without="",
        tests=(f"{_WALK}::test_the_first_outcome_stands",),
    ),
    Guard(
        rule=13,
        says="the release is the first k in walk order, whatever the order of outcomes",
        file=f"{_CURATOR}/walk.py",
        guard="""\
        candidates = self._merged.candidates[: self._position]
        return [one for one in candidates if self._standing[one.id] is _Standing.ACCEPTED]""",
        without="""\
        return [self._by_id[one] for one, how in self._standing.items() if how is _Standing.ACCEPTED][::-1]""",
        tests=(f"{_WALK}::test_the_order_of_outcomes_and_a_restart_do_not_show",),
    ),
    Guard(
        rule=13,
        says="with no reserve left it becomes final short, and says so",
        file=f"{_CURATOR}/walk.py",
        guard="return self.settled and not self._enough()",
        without="return False",
        tests=(f"{_CURATION}::test_a_release_whose_reserve_ran_out_is_final_and_says_short",),
    ),
    Guard(
        rule=13,
        says="a dead-lettered task writes its refusal in the same commit",
        file="longstream/attempts.py",
        guard="return [dead_letter(record, error, flight.tries), *self._handler.refuse(record, error)]",
        without="return [dead_letter(record, error, flight.tries)]",
        tests=(
            "tests/instructor/test_service.py::"
            "test_a_task_whose_document_is_empty_is_a_dead_letter_and_a_refused_row",
        ),
    ),
    Guard(
        rule=13,
        says="a control record that cannot be applied stops the partition",
        file=f"{_CURATOR}/keeper.py",
        guard='raise ControlFailed(f"a control record cannot be applied: {error.message}") from error',
        without="raise",
        tests=(
            "tests/curator/test_control_records.py::"
            "test_a_barrier_that_cannot_be_applied_stops_the_partition_and_is_no_dead_letter",
        ),
    ),
    Guard(
        rule=13,
        says="also one that fails in a way nobody foresaw",
        file=f"{_CURATOR}/keeper.py",
        guard='raise ControlFailed("a control record cannot be applied; the log has why") from error',
        without="raise",
        tests=(
            "tests/curator/test_control_records.py::"
            "test_a_control_record_that_fails_in_a_way_nobody_foresaw_is_no_dead_letter_either",
        ),
    ),
    Guard(
        rule=13,
        says="and is no dead letter",
        file="longstream/attempts.py",
        guard="        except ControlFailed:\n            raise\n",
        without="",
        tests=(
            "tests/longstream/test_worker.py::test_a_control_record_that_cannot_be_applied_stops_the_worker",
        ),
    ),
    Guard(
        rule=14,
        says="a row's id holds the example and the task, and no release",
        file=f"{_CURATOR}/cut.py",
        guard="        while len(tasks) < CHUNK and (candidate := self._walk.next_needed()) is not None:\n",
        without="""\
        self._task = self._task.split("#")[0] + "#" + release_id
        while len(tasks) < CHUNK and (candidate := self._walk.next_needed()) is not None:
""",
        tests=(f"{_CURATION}::test_a_row_that_exists_is_not_asked_for_again",),
    ),
    Guard(
        rule=14,
        says="the owner asks for each row once; a later release takes the row that is there",
        file=f"{_CURATOR}/cut.py",
        guard="if candidate.id in self._waiting and row_of(row_id) is None:",
        without="if candidate.id in self._waiting:",
        tests=(f"{_CURATION}::test_a_row_that_exists_is_not_asked_for_again",),
    ),
    Guard(
        rule=14,
        says="a new owner knows the rows that its predecessor knew before it asks",
        file=f"{_CURATOR}/owner.py",
        guard="        self._parts.rows.catch_up(CATCH_UP_S)\n",
        without="",
        tests=("tests/curator/test_takeover.py::test_an_owner_waits_for_the_rows_that_its_predecessor_knew",),
    ),
    Guard(
        rule=15,
        says="the first committed row or refusal of an id stands for every reader",
        file="longstream/view.py",
        guard="elif not (self._first_stands and key in self._items):",
        without="else:",
        tests=(
            "tests/curator/test_first_row.py::"
            "test_a_row_that_is_written_again_in_other_words_changes_no_release",
        ),
    ),
    Guard(
        rule=15,
        says="a task whose row stands is not asked again from the dead letters",
        file="longstream/dead_letter_replay.py",
        guard="        if pipeline_key(task.pipeline, task.row_id) in self._answered:\n",
        without="        if False:\n",
        tests=(
            "tests/longstream/test_dead_letter_replay.py::test_a_task_whose_refusal_was_written_is_not_asked_again",
        ),
    ),
    Guard(
        rule=15,
        says="equal rows give equal bytes",
        file=f"{_CURATOR}/release.py",
        guard="        row_group_size=max(1, len(rows)),\n",
        without="        row_group_size=__import__('random').choice([1, 2, 3]),\n",
        tests=(f"{_RELEASE}::test_equal_rows_give_equal_bytes_everywhere",),
    ),
)
