"""The judge compares a new model with the champion in both orders, and promotes or refuses it.

Topics in:   judging (owners), models and releases (views)
Topics out:  evaluations, verdicts, promotions, judging-state
Calls:       CreateEvaluation, GetEvaluation, ListEvaluations, GetChampion, Rollback
State:       evaluations and promotions, restored from their topics
"""
