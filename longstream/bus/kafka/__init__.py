"""Apache Kafka as a bus: the only door to kafka-python. See docs/decisions/0013-kafka.md for why it is built so.

bus.py           topics, readers, publishing       subscription.py  a member's share of a group
transactions.py  the one act, under a watchdog     assignor.py      who gets which partition
wire.py          clients' settings, errors, records
"""
