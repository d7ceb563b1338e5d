"""Rules 1 to 5: who may write."""

from __future__ import annotations

from tests.rules.guards import Guard

_BUS = "tests/longstream/bus"
_KAFKA = "longstream/bus/kafka/subscription.py"
_FENCING = f"{_BUS}/test_kafka_fencing.py"
_WORKER = "tests/longstream/test_worker_fencing.py"
_OWNER = "tests/longstream/test_owner.py"

OWNERSHIP = (
    Guard(
        rule=1,
        says="a commit takes the group's metadata before it looks at ownership",
        file=_KAFKA,
        guard="""\
            metadata = self._consumer.group_metadata()  # first; see the module's docstring
            self._check_positions(positions)
""",
        without="""\
            self._check_positions(positions)
            metadata = self._consumer.group_metadata()
""",
        tests=(f"{_FENCING}::test_a_partition_handed_on_in_the_midst_of_a_commit_cannot_be_committed",),
    ),
    Guard(
        rule=1,
        says="what is sent is that snapshot, and not the metadata of the moment",
        file=_KAFKA,
        guard="self._act(self._check(outputs), offsets)",
        without="""\
completed = self._check(outputs)
            fresh = self._consumer.group_metadata()
            self._act(completed, Offsets(positions=offsets.positions, mark=offsets.mark, group=fresh))""",
        tests=(f"{_FENCING}::test_a_partition_handed_on_in_the_midst_of_a_commit_cannot_be_committed",),
    ),
    Guard(
        rule=1,
        says="an act that no record caused names its partition's position too, or is refused",
        file="longstream/bus/embedded_subscription.py",
        guard="        if not positions:\n",
        without="        if False:\n",
        tests=(
            f"{_BUS}/test_bus_contract.py::test_a_commit_may_repeat_its_position_but_not_go_back_or_beyond",
        ),
    ),
    Guard(
        rule=1,
        says="a worker commits also what no record caused, and never writes it past its position",
        file="longstream/worker.py",
        guard="subscription.commit(outputs, positions)",
        without="""\
if not any(prefix.records for prefix in due.values()):
                    self._bus.publish(outputs)
                    return True
                subscription.commit(outputs, positions)""",
        tests=(f"{_WORKER}::test_a_worker_that_was_replaced_writes_nothing_more_and_stops[tick]",),
    ),
    Guard(
        rule=1,
        says="who only polls asks whether another process has its name",
        file=_KAFKA,
        guard="if self._replaced or self._roll_call.replaced(self._consumer.group_metadata, in_doubt):",
        without="if self._replaced:",
        tests=(
            f"{_BUS}/test_bus_contract.py"
            "::test_a_member_that_has_nothing_to_do_learns_from_its_polls_that_another_has_its_name[kafka]",
        ),
    ),
    Guard(
        rule=1,
        says="a partition that a member let go of and nobody was given does not stay nobody's",
        file=_KAFKA,
        guard="        if self._roll_call.left_over():\n",
        without="        if False:\n",
        tests=(
            f"{_BUS}/test_kafka_roll_call.py"
            "::test_what_a_member_let_go_of_before_it_died_is_given_away_in_the_end",
        ),
    ),
    Guard(
        rule=1,
        says="refused work is dropped and not tried again",
        file="longstream/worker.py",
        guard="""\
            except Fenced:
                return False
""",
        without="""\
            except Fenced:
                time.sleep(0.01)
                continue
""",
        tests=(
            f"{_WORKER}::test_work_of_a_partition_that_was_taken_away_is_dropped_and_the_worker_lives_on",
        ),
    ),
    Guard(
        rule=1,
        says="the positions of an act carry the generation that proves the ownership",
        file="longstream/bus/kafka/transactions.py",
        guard="producer.send_offsets_to_transaction(offsets.committed_as(), offsets.group)",
        without="""\
producer.send_offsets_to_transaction(
            offsets.committed_as(), ConsumerGroupMetadata(offsets.group.group_id)
        )""",
        tests=(f"{_FENCING}::test_a_partition_handed_on_in_the_midst_of_a_commit_cannot_be_committed",),
    ),
    Guard(
        rule=1,
        says="the transactional id is taken over before state is restored, which ends what a former life left open",
        file=_KAFKA,
        guard="            self._transactions.open()  # before any state is restored",
        without="            pass  # before any state is restored",
        tests=(
            f"{_BUS}/test_kafka_restore.py::test_what_a_dead_life_left_open_is_ended_before_its_successor_restores",
        ),
    ),
    Guard(
        rule=2,
        says="the owner's state is written with whatever changed it",
        file="longstream/owner.py",
        guard='outputs.append(self._states.put(state.pipeline, "", state))',
        without='self._states.put(state.pipeline, "", state)',
        tests=(
            f"{_OWNER}::test_a_state_is_written_with_what_its_command_made",
            f"{_OWNER}::test_outcomes_outlive_the_owner",
        ),
    ),
    Guard(
        rule=2,
        says="the state is restored before the first command",
        file="longstream/owner.py",
        guard="""\
        self._states.gained(partition)
        for state""",
        without="""\
        self._states._facts[partition.index] = {}
        for state""",
        tests=(f"{_OWNER}::test_outcomes_outlive_the_owner",),
    ),
    Guard(
        rule=2,
        says="handled request ids are part of it",
        file="longstream/owner.py",
        guard="    if any(done.request_id == request.request_id for done in state.handled):\n        return\n",
        without="",
        tests=(f"{_OWNER}::test_a_command_is_applied_once_however_often_it_is_sent",),
    ),
    Guard(
        rule=2,
        says="the addresses of the snapshots that have arrived are part of it",
        file="services/curator/longstream_curator/owner.py",
        guard="            curation.snapshots.append(arrived)\n",
        without="            self._arrived = [*getattr(self, '_arrived', []), arrived]\n",
        tests=(
            "tests/curator/test_curation.py::test_a_restart_in_the_middle_of_a_cut_gives_the_same_release",
        ),
    ),
    Guard(
        rule=2,
        says="the rank up to which `selected` was sent is part of it",
        file="services/curator/longstream_curator/owner.py",
        guard="        curation.sent_by_stratum.update(cut.taken)\n        curation.sent = sum(cut.taken.values())\n",
        without="",
        tests=(
            "tests/curator/test_control_records.py::test_an_owner_that_returns_in_the_midst_of_a_cut_asks_for_nothing_twice",
        ),
    ),
    Guard(
        rule=2,
        says="`selected` goes out in bounded chunks",
        file="services/curator/longstream_curator/cut.py",
        guard="while len(tasks) < CHUNK and (candidate",
        without="while (candidate",
        tests=("tests/curator/test_cut.py::test_tasks_go_out_in_chunks",),
    ),
    Guard(
        rule=3,
        says="a writer has the file to itself from its first look on",
        file="longstream/bus/embedded_store.py",
        guard='self._persistently("BEGIN IMMEDIATE", deadline)',
        without='self._persistently("BEGIN", deadline)',
        tests=(
            f"{_BUS}/test_embedded_store.py::test_a_writer_waits_for_another_process_and_then_says_that_it_is_busy",
        ),
    ),
    Guard(
        rule=3,
        says="a commit compares the lease's epoch",
        file="longstream/bus/embedded_subscription.py",
        guard="(found.owner, found.epoch, found.committed) != mine",
        without="(found.owner, mine and mine[1], found.committed) != mine",
        tests=(
            f"{_BUS}/test_bus_contract.py::test_a_member_that_returns_shuts_its_older_self_out_at_once[sqlite]",
        ),
    ),
    Guard(
        rule=3,
        says="a commit compares the former position",
        file="longstream/bus/embedded_subscription.py",
        guard="(found.owner, found.epoch, found.committed) != mine",
        without="(found.owner, found.epoch, mine and mine[2]) != mine",
        tests=(
            f"{_BUS}/test_embedded_groups.py::test_a_position_that_moved_under_its_owner_refuses_the_commit_and_is_read_again",
        ),
    ),
    Guard(
        rule=3,
        says="offsets come from a stored counter",
        file="longstream/bus/embedded_log.py",
        guard="""\
    ends = {
        number: bound.next for number, bound in bounds(connection, list({home.id for home in homes})).items()
    }
""",
        without="""\
    ends = {
        home.id: connection.execute(
            "SELECT count(*) FROM records WHERE place >= ? AND place < ?",
            (place_of(home.id, 0), place_of(home.id + 1, 0)),
        ).fetchone()[0]
        for home in homes
    }
""",
        tests=(
            f"{_BUS}/test_housekeeping.py::test_compaction_keeps_the_last_record_of_each_key_at_its_offset",
        ),
    ),
    Guard(
        rule=3,
        says="each commit is forced to the disk",
        file="longstream/bus/embedded_store.py",
        guard="PRAGMA synchronous = FULL",
        without="PRAGMA synchronous = NORMAL",
        tests=(f"{_BUS}/test_embedded_store.py::test_every_commit_is_forced_to_the_disk",),
    ),
    Guard(
        rule=3,
        says="a stopped child that wakes after its replacement is refused",
        file="longstream/bus/embedded_group.py",
        guard="""\
        "UPDATE leases SET owner = coalesce(heir, owner), heir = NULL, epoch = epoch + 1 "
        "WHERE consumers = ? AND owner = ?",
        (member.group, member.name),
    )
    connection.execute(
        "INSERT OR REPLACE""",
        without="""\
        "UPDATE leases SET owner = coalesce(heir, owner), heir = NULL "
        "WHERE consumers = ? AND owner = ?",
        (member.group, member.name),
    )
    connection.execute(
        "INSERT OR REPLACE""",
        tests=(
            f"{_BUS}/test_bus_contract.py::test_a_member_that_returns_shuts_its_older_self_out_at_once[sqlite]",
        ),
    ),
    Guard(
        rule=4,
        says="after a commit that was not taken the same outputs are written, with nothing read again",
        file="longstream/worker.py",
        guard="                failures += 1\n                _log.warning(\n",
        without="                return False\n                _log.warning(\n",
        tests=(f"{_WORKER}::test_what_a_commit_could_not_write_is_written_by_the_next_as_it_was",),
    ),
    Guard(
        rule=4,
        says="an aborted transaction does not set the reading back",
        file=_KAFKA,
        guard='            raise Unavailable("Kafka did not take the commit; it may be tried again") from error\n',
        without="""\
            for name in offsets.positions:
                self._consumer.seek(name, self._ownership.held()[partition_of(name)])
            raise Unavailable("Kafka did not take the commit; it may be tried again") from error
""",
        tests=(f"{_FENCING}::test_after_a_commit_that_was_not_taken_nothing_comes_again_by_itself",),
    ),
    Guard(
        rule=4,
        says="where reading is set back, the caller is first told to drop what is in flight",
        file="longstream/bus/kafka/ownership.py",
        guard="        self.let_go(partitions)\n        with self._lock:\n            self._came.update(partitions)\n",
        without="        with self._lock:\n            self._came.update(partitions)\n",
        tests=(
            f"{_FENCING}::"
            "test_a_member_that_was_refused_and_still_owns_is_told_to_drop_its_work_and_begins_anew",
        ),
    ),
    Guard(
        rule=5,
        says="each attempt has its own number",
        file="services/trainer/longstream_trainer/jobs.py",
        guard="job.state, job.attempt, job.events = TrainingJob.STATE_RUNNING, job.attempt + 1, 0",
        without="job.state, job.attempt, job.events = TrainingJob.STATE_RUNNING, 1, 0",
        tests=(
            "tests/trainer/test_trainer_owner.py::test_a_job_goes_on_under_a_new_number_after_the_trainers_restart",
        ),
    ),
    Guard(
        rule=5,
        says="what an attempt reports carries its number",
        file="services/trainer/longstream_trainer/owner.py",
        guard="fact.pipeline, fact.job_id, fact.attempt = job.pipeline, job.id, job.attempt",
        without="fact.pipeline, fact.job_id = job.pipeline, job.id",
        tests=(
            "tests/trainer/test_trainer_owner.py::test_what_an_attempt_reports_is_told_in_its_order_and_under_its_number",
        ),
    ),
    Guard(
        rule=5,
        says="what an older attempt on a cluster still says is passed over",
        file="services/trainer/longstream_trainer/jobs.py",
        guard="if job.state != TrainingJob.STATE_RUNNING or job.attempt != report.attempt:",
        without="if job.state != TrainingJob.STATE_RUNNING:",
        tests=(
            "tests/trainer/test_kubernetes_jobs.py::test_a_pod_that_never_ends_on_a_lost_node_is_given_up",
        ),
    ),
    Guard(
        rule=5,
        says="a report that was sent twice counts once",
        file="services/trainer/longstream_trainer/jobs.py",
        guard="return job.report_source != report.source or job.report_number < report.number",
        without="return True",
        tests=(
            "tests/trainer/test_kubernetes_jobs.py::test_a_report_sent_twice_or_of_another_attempt_counts_once_or_not",
        ),
    ),
    Guard(
        rule=5,
        says="the owner alone writes models, in the commit that its position guards",
        file="services/trainer/longstream_trainer/owner.py",
        guard="outputs.append(self._layout.output(MODELS, job.pipeline, model.id, model.SerializeToString()))",
        without="""\
self._parts.bus.publish(
            [self._layout.output(MODELS, job.pipeline, model.id, model.SerializeToString())]
        )""",
        tests=(
            "tests/trainer/test_attempts_that_live_on.py::"
            "test_a_model_whose_owner_was_replaced_while_it_was_finished_is_not_written",
        ),
    ),
)
