"""The curator keeps the k longest responses of an endless stream and cuts them into immutable releases.

Topics in:   examples (keepers, in order), curation (owners), rows (a view)
Topics out:  curator-state, curation, examples (barriers, revisions), selected, releases, curation-state
Calls:       SubmitDocuments, SubmitPairs, Rank, GetSelection, CutRelease, GetRelease, ListReleases, WatchReleases
State:       the kept sets, restored from curator-state; the owner's, restored from curation-state and releases
"""
