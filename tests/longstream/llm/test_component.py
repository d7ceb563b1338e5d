"""What becomes of a program when its engine loads, never can, or is given up."""

from __future__ import annotations

import time

import pytest

from longstream.errors import EngineGone, EngineUnavailable, InvalidInput, SuiteError
from longstream.llm.component import ModelComponent
from tests.support.ruledmodel import RuledModel


class Answering(RuledModel):
    """A model that is ready, or says why not."""

    def __init__(self, trouble: SuiteError | None) -> None:
        super().__init__()
        self.trouble = trouble
        self.closed = False

    @property
    def ready(self) -> bool:
        return self.trouble is None

    def wait_ready(self, timeout_s: float) -> None:
        if self.trouble is not None:
            time.sleep(0.01)
            raise self.trouble

    def close(self) -> None:
        self.closed = True


def running(trouble: SuiteError | None) -> ModelComponent:
    component = ModelComponent(Answering(trouble))
    component.start()
    time.sleep(0.2)
    return component


def test_a_loading_engine_is_waited_for() -> None:
    component = running(EngineUnavailable("loading"))
    assert not component.ready
    assert component.failed() is None
    component.stop()


@pytest.mark.parametrize("trouble", [InvalidInput("no such model"), EngineGone("given up")])
def test_an_engine_that_will_never_serve_ends_the_program(trouble: SuiteError) -> None:
    component = running(trouble)
    assert component.failed() is trouble
    component.stop()


def test_stopping_closes_the_model_once() -> None:
    model = Answering(None)
    component = ModelComponent(model)
    component.start()
    component.stop()
    component.stop()
    assert model.closed
