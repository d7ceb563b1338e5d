"""Rules 6 to 9: how state is kept, restored and waited for."""

from __future__ import annotations

from tests.rules.guards import Guard

_BUS = "tests/longstream/bus"
_RESTORE = f"{_BUS}/test_kafka_restore.py"
_START = f"{_BUS}/test_kafka_start.py"
_CONTROL = "tests/curator/test_control_records.py"
_KEEPER = "services/curator/longstream_curator/keeper.py"
_OWNER = "tests/longstream/test_owner.py"

STATE = (
    Guard(
        rule=6,
        says="the end of a restore lies behind open transactions",
        file="longstream/bus/kafka/bus.py",
        guard="self._looker = cluster.consumer(committed_only=False)",
        without="self._looker = cluster.consumer()",
        tests=(f"{_RESTORE}::test_a_restore_waits_until_it_is_known_what_an_open_transaction_wrote",),
    ),
    Guard(
        rule=6,
        says="a restore ends by position and not by the last record",
        file="longstream/view.py",
        guard="""\
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for record in reader.poll(_BATCH, _POLL_S):
""",
        without="""\
        last = dict.fromkeys(ends, 0)
        while any(last[partition] < end for partition, end in ends.items()):
            for record in reader.poll(_BATCH, _POLL_S):
                last[record.partition] = record.offset + 1
""",
        tests=(f"{_RESTORE}::test_a_restore_waits_until_it_is_known_what_an_open_transaction_wrote",),
    ),
    Guard(
        rule=6,
        says="records are read, and positions fetched, only when they are stable",
        file="longstream/bus/kafka/wire.py",
        guard='"isolation_level": "read_committed" if committed_only else "read_uncommitted",',
        without='"isolation_level": "read_uncommitted",',
        tests=(
            f"{_RESTORE}::"
            "test_a_partition_comes_only_when_its_position_is_known_and_so_with_the_state_beside_it",
        ),
    ),
    Guard(
        rule=6,
        says="nobody waits longer than ten seconds for a writer that is gone",
        file="longstream/bus/kafka/wire.py",
        guard="                transaction_timeout_ms=int(TRANSACTION_TIMEOUT_S * 1000),\n",
        without="",
        tests=(f"{_RESTORE}::test_readers_wait_ten_seconds_at_most_for_a_writer_that_is_gone",),
    ),
    Guard(
        rule=7,
        says="`curator-state` goes to the number of the input's partition",
        file=_KEEPER,
        guard="return Output(topic=CURATOR_STATE, key=key, value=value, partition=partition)",
        without="return Output(topic=CURATOR_STATE, key=key, value=value)",
        tests=(f"{_CONTROL}::test_what_is_kept_is_logged_beside_what_it_came_from",),
    ),
    Guard(
        rule=7,
        says="a pipeline's other facts share the partition that its name decides",
        file="longstream/topics.py",
        guard="value=value, partition=self.partition(pipeline))",
        without="value=value)",
        tests=(
            "tests/longstream/test_owned.py::"
            "test_what_was_written_is_restored_with_its_last_value_and_in_the_order_of_its_first",
        ),
    ),
    Guard(
        rule=7,
        says="each commit writes the partition's marks",
        file=_KEEPER,
        guard="for name in sorted(dirty):",
        without="for name in ():",
        tests=(f"{_CONTROL}::test_a_keeper_that_takes_over_knows_what_its_predecessor_has_dropped",),
    ),
    Guard(
        rule=7,
        says="the highest evicted rank is among the marks",
        file="services/curator/longstream_curator/divisions.py",
        guard="            self._counts[place].evicted.CopyFrom(rank_record(mark))\n",
        without="            pass\n",
        tests=(f"{_CONTROL}::test_a_keeper_that_takes_over_knows_what_its_predecessor_has_dropped",),
    ),
    Guard(
        rule=8,
        says="a position outside the log stops the member",
        file="longstream/bus/kafka/start.py",
        guard="if not at.begins_at <= position <= at.end:",
        without="if False:",
        tests=(f"{_BUS}/test_kafka_commits.py::test_a_position_that_the_log_no_longer_has_stops_the_reader",),
    ),
    Guard(
        rule=8,
        says="the group's position is asked for anew, and no answer to an earlier question counts",
        file="longstream/bus/kafka/positions.py",
        guard="    consumer._coordinator._offset_fetch_futures.clear()\n",
        without="",
        tests=(
            f"{_BUS}/test_kafka_positions.py"
            "::test_a_member_begins_again_where_the_group_is_whatever_its_client_was_told_before",
        ),
    ),
    Guard(
        rule=8,
        says="a lost position beside the group's state stops the member and says how to go on",
        file="longstream/bus/kafka/start.py",
        guard="        if _holds_records(cluster, name):\n",
        without="        if False:\n",
        tests=(
            f"{_START}::test_a_group_without_a_position_beside_its_own_state_is_stopped_and_told_how_to_go_on",
        ),
    ),
    Guard(
        rule=8,
        says="the log's beginning is only for a log of which nothing was worked off",
        file="longstream/bus/kafka/start.py",
        guard="    if at.begins_at > 0:\n",
        without="    if False:\n",
        tests=(
            f"{_START}::test_a_group_without_a_position_in_a_log_whose_beginning_it_has_worked_off_is_stopped",
        ),
    ),
    Guard(
        rule=8,
        says="on SQLite too a position outside the log stops the worker",
        file="longstream/bus/embedded_subscription.py",
        guard="        if not begins_at <= position <= end:\n",
        without="        if False:\n",
        tests=(
            "tests/longstream/test_worker_fencing.py::"
            "test_a_position_that_the_log_no_longer_has_stops_the_worker_which_says_how_to_go_on",
        ),
    ),
    Guard(
        rule=8,
        says="work topics are deleted only below committed positions",
        file="longstream/bus/kafka/expiry.py",
        guard="if (until := min(old_until, read_until)) > begins[name]:",
        without="if (until := old_until) > begins[name]:",
        tests=(f"{_BUS}/test_kafka_topics.py::test_only_what_is_old_and_read_is_dropped",),
    ),
    Guard(
        rule=8,
        says="on SQLite too",
        file="longstream/bus/housekeeping.py",
        guard='"ELSE coalesce(positions.next, begins_at) END), retention_s "',
        without='"ELSE partitions.next END), retention_s "',
        tests=(
            f"{_BUS}/test_housekeeping.py::test_old_records_go_only_below_what_every_group_has_read",
            f"{_BUS}/test_housekeeping.py::test_a_group_that_has_not_committed_yet_holds_everything",
        ),
    ),
    Guard(
        rule=9,
        says="the state carries the control position that was applied, also by a command without effect",
        file="longstream/owner.py",
        guard="        state.control_offset = record.offset + 1\n",
        without="        if outputs:\n            state.control_offset = record.offset + 1\n",
        tests=(f"{_OWNER}::test_a_command_is_applied_once_however_often_it_is_sent",),
    ),
    Guard(
        rule=9,
        says="a call waits until the state has passed its command",
        file="longstream/owner.py",
        guard="return state if state is not None and state.control_offset > offset else None",
        without="return state",
        tests=(f"{_OWNER}::test_many_callers_at_once_each_get_their_own_answer",),
    ),
)
