"""Which failures are retried, which set a granule aside, which stop the run."""

from __future__ import annotations

import pytest

from ssc.errors import AccessError, DataError, GridError, InputError, TransientError
from ssc.ledger import Status
from tasks import policy
from tasks.outcome import Outcome

FINE = Outcome(granule="g", status=Status.CLOUDY)


class Flaky:
    """Fails with the given errors in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> Outcome:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return FINE


def test_transient_failures_are_tried_again():
    action = Flaky(TransientError("503"), TransientError("cut"))
    assert policy.persist(action, first_pause_s=0) is FINE
    assert action.calls == 3


def test_a_failure_that_stays_is_given_up_with_its_reason():
    action = Flaky(*[TransientError("503")] * 9)
    with pytest.raises(TransientError) as failure:
        policy.persist(action, first_pause_s=0)
    assert action.calls == policy.RETRIES + 1
    outcome = policy.give_up("g", failure.value)
    assert outcome.status is Status.SET_ASIDE
    assert "503" in outcome.reason
    assert "4 tries" in outcome.reason


@pytest.mark.parametrize("error", [DataError("broken"), GridError("shape"), InputError("band"), AccessError("login")])
def test_nothing_else_is_tried_again(error):
    action = Flaky(error)
    with pytest.raises(type(error)):
        policy.persist(action, first_pause_s=0)
    assert action.calls == 1


@pytest.mark.parametrize("error", [DataError("broken"), GridError("shape"), InputError("band")])
def test_a_granules_own_failure_sets_it_aside(error):
    outcome = policy.settle("g", Flaky(error))
    assert outcome.status is Status.SET_ASIDE
    assert outcome.reason == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("error", [AccessError("login"), TransientError("503"), ZeroDivisionError("bug")])
def test_refusals_retries_and_bugs_pass_through(error):
    with pytest.raises(type(error)):
        policy.settle("g", Flaky(error))


def test_a_reason_is_one_line():
    assert policy.reason(DataError("two\n  lines")) == "DataError: two lines"


def test_give_up_does_not_swallow_bugs():
    with pytest.raises(ZeroDivisionError):
        policy.give_up("g", ZeroDivisionError("bug"))
