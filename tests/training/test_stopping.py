"""Signals at awkward moments."""

import os
import signal

import pytest

from palikit.training.stopping import Stopped, StopSignal


class EndsLate(StopSignal):
    """As if the signal came after the block and before it is left."""

    @property
    def _is_at_once(self) -> bool:
        return self.__dict__.get("at_once_now", False)

    @_is_at_once.setter
    def _is_at_once(self, value: bool) -> None:
        if not value and not self.is_set:
            os.kill(os.getpid(), signal.SIGTERM)
        self.__dict__["at_once_now"] = value


def test_a_signal_while_the_block_is_left_does_not_leave_it_open() -> None:
    with EndsLate() as stop:
        with pytest.raises(Stopped), stop.at_once():
            pass
        os.kill(os.getpid(), signal.SIGTERM)  # waits for the end of the step
        assert stop.is_set
