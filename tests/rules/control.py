"""Rules 16 to 18: control records, erasure, and how long objects live."""

from __future__ import annotations

from tests.rules.guards import Guard

_CONTROL = "tests/curator/test_control_records.py"
_CURATOR = "services/curator/longstream_curator"
_SELECTION = "tests/curator/test_selection.py"
_WALK = "tests/curator/test_walk.py"
_ERASURE = "tests/curator/test_erasure.py"
_SWEEP = "tests/longstream/test_sweep.py"

CONTROL = (
    Guard(
        rule=16,
        says="a revision stands in all partitions of `examples`",
        file=f"{_CURATOR}/owner.py",
        guard="outputs.extend(self._to_all_partitions(ExamplesRecord(revision=revision)))",
        without="outputs.extend(self._to_all_partitions(ExamplesRecord(revision=revision))[:1])",
        tests=(
            f"{_CONTROL}::test_a_revision_stands_at_the_head_of_every_partition_and_barriers_and_releases_name_it",
        ),
    ),
    Guard(
        rule=16,
        says="keepers switch where it stands",
        file=f"{_CURATOR}/keeper.py",
        guard="changes = known.switch(revision)",
        without="changes = []",
        tests=(
            f"{_CONTROL}::test_a_keeper_ranks_by_the_revision_that_stands_in_the_stream_from_where_it_stands",
        ),
    ),
    Guard(
        rule=16,
        says="barriers name pipeline and revision",
        file=f"{_CURATOR}/owner.py",
        guard="            revision=revision.revision,\n            time=release.cut_time,\n",
        without="            time=release.cut_time,\n",
        tests=(
            f"{_CONTROL}::test_a_revision_stands_at_the_head_of_every_partition_and_barriers_and_releases_name_it",
        ),
    ),
    Guard(
        rule=16,
        says="a barrier of another revision than the stream is at stops the partition",
        file=f"{_CURATOR}/keeper.py",
        guard="        if barrier.revision != kept_set.marks.revision.revision:\n",
        without="        if False:\n",
        tests=(
            f"{_CONTROL}::test_a_barrier_that_cannot_be_applied_stops_the_partition_and_is_no_dead_letter",
        ),
    ),
    Guard(
        rule=16,
        says="a new rule begins where it stands, and the marks say that history is missing",
        file=f"{_CURATOR}/kept.py",
        guard="self._begin(PartitionMarks(begun_late=begun_late), revision)",
        without="self._begin(PartitionMarks(), revision)",
        tests=(
            "tests/curator/test_curation.py::test_a_changed_rule_ranks_anew_and_says_that_history_is_lost",
            f"{_CONTROL}::test_a_keeper_ranks_by_the_revision_that_stands_in_the_stream_from_where_it_stands",
        ),
    ),
    Guard(
        rule=16,
        says="so does a new pipeline in an old stream",
        file=f"{_CURATOR}/keeper.py",
        guard="fresh.marks.begun_late = bool(self._passed[partition].seen) or any(",
        without="fresh.marks.begun_late = False and any(",
        tests=(f"{_CONTROL}::test_a_pipeline_that_begins_in_a_stream_that_has_begun_says_so",),
    ),
    Guard(
        rule=16,
        says="the time of a cut is its record's, never the clock's",
        file=f"{_CURATOR}/owner.py",
        guard='self._open(state, "caller", record.timestamp_ms, outputs)',
        without='self._open(state, "caller", time.time_ns() // 1_000_000, outputs)',
        tests=(f"{_CONTROL}::test_the_time_of_a_cut_is_that_of_its_record_however_late_it_is_applied",),
    ),
    Guard(
        rule=17,
        says="an erased id stays refused, also when a client retries",
        file=f"{_CURATOR}/selection.py",
        guard="        self._erased.add(example_id)\n",
        without="",
        tests=(
            f"{_SELECTION}::test_an_erased_one_keeps_its_slot_until_the_cut_and_is_refused_for_ever",
            "tests/curator/test_replayed_examples.py::"
            "test_an_erased_id_stays_refused_when_its_letter_is_replayed",
        ),
    ),
    Guard(
        rule=17,
        says="also after a restart",
        file=f"{_CURATOR}/selection.py",
        guard="        selection._erased.update(snapshot.erased)\n",
        without="",
        tests=(f"{_SELECTION}::test_erasures_survive_a_restart",),
    ),
    Guard(
        rule=17,
        says="an id that is excluded from an open release makes the next reserve step in",
        file=f"{_CURATOR}/walk.py",
        guard="        self._set(example_id, _Standing.REFUSED)\n        if candidate.had_duplicates:\n",
        without="        if candidate.had_duplicates:\n",
        tests=(
            f"{_WALK}::test_an_excluded_row_lets_the_next_reserve_step_in",
            f"{_WALK}::test_one_that_is_excluded_before_its_turn_is_passed_over",
        ),
    ),
    Guard(
        rule=17,
        says="an erasure stands in all partitions of `examples`",
        file=f"{_CURATOR}/owner.py",
        guard="        outputs.extend(self._to_all_partitions(ExamplesRecord(erase=erase)))\n",
        without="        outputs.extend(self._to_all_partitions(ExamplesRecord(erase=erase))[:1])\n",
        tests=(f"{_ERASURE}::test_an_erasure_stands_in_every_partition",),
    ),
    Guard(
        rule=17,
        says="what stands before the barrier and is erased behind it is taken out of the open release",
        file=f"{_CURATOR}/owner.py",
        guard="        if curation.open_release_id:\n            curation.erased.append(example_id)\n",
        without="",
        tests=(f"{_ERASURE}::test_what_came_before_the_barrier_and_was_erased_behind_it_is_in_no_release",),
    ),
    Guard(
        rule=17,
        says="a row that was under way for what is erased is dropped when it comes",
        file=f"{_CURATOR}/owner.py",
        guard="        self._drop_late_rows(state, outputs)\n",
        without="",
        tests=(f"{_ERASURE}::test_what_waits_for_its_instruction_makes_room_and_its_late_row_is_dropped",),
    ),
    Guard(
        rule=17,
        says="the state has the rank of an erased example, and not its text",
        file=f"{_CURATOR}/kept.py",
        guard="        return [(example_id, erased)]\n",
        without="        return []\n",
        tests=(f"{_ERASURE}::test_an_erasure_holds_after_a_restart_and_no_text_of_it_is_kept",),
    ),
    Guard(
        rule=18,
        says="what a record names, directly or through another object, stays",
        file="longstream/sweep.py",
        guard="            self._follow(address, place)\n",
        without="            pass\n",
        tests=(f"{_SWEEP}::test_everything_that_a_release_and_a_model_are_made_of_stays",),
    ),
    Guard(
        rule=18,
        says="large values stay for as long as their record",
        file="longstream/sweep.py",
        guard="            self.places.setdefault(body, place)\n",
        without="            pass\n",
        tests=(f"{_SWEEP}::test_large_values_stay_for_as_long_as_their_record_and_so_does_what_they_name",),
    ),
    Guard(
        rule=18,
        says="orphans go only after a grace",
        file="longstream/sweep.py",
        guard="address not in named.places and stored < now - grace",
        without="address not in named.places",
        tests=(f"{_SWEEP}::test_a_dry_run_counts_the_same_and_removes_nothing",),
    ),
    Guard(
        rule=18,
        says="one that was stored again meanwhile stays",
        file="longstream/storage/files.py",
        guard="            if stored is not None and stored_before is not None and stored >= stored_before:\n",
        without="            if False:\n",
        tests=(
            "tests/longstream/storage/test_storage_contract.py::"
            "test_an_object_that_was_put_again_since_is_not_deleted",
        ),
    ),
    Guard(
        rule=18,
        says="the grace is longer than the retention",
        file="longstream/sweep.py",
        guard="    if grace < least_grace():\n",
        without="    if False:\n",
        tests=(f"{_SWEEP}::test_a_grace_within_the_retention_is_refused",),
    ),
)
