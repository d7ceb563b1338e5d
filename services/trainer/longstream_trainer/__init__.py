"""The trainer fine-tunes models on releases with NEFTune noise, each attempt as a child process.

Topics in:   training (owners), releases (a view)
Topics out:  training-jobs, training-events, models, training-state
Calls:       CreateTrainingJob, GetTrainingJob, ListTrainingJobs, CancelTrainingJob, WatchTrainingJob
State:       jobs, restored from training-jobs; checkpoints on disk
"""
