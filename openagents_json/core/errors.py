"""What the names of 0.1.4 raise: errors of this product's tree, which are the built-in ones that 0.1.4 raised too."""

from __future__ import annotations

from openagents_json.errors import Conflict, InvalidArgument, NotFound, OpenAgentsError


class WorkflowNotRegistered(NotFound, ValueError):
    """No workflow of that id is registered."""

    code = "workflow_not_registered"


class AgentNotRegistered(NotFound, ValueError):
    """No agent of that name is registered."""

    code = "agent_not_registered"


class InvalidRegistration(InvalidArgument, ValueError):
    """What is to be registered does not say what it has to."""

    code = "invalid_registration"


class JobNotFound(NotFound, ValueError):
    """There is no such job."""

    code = "job_not_found"


class JobNotCompleted(Conflict, ValueError):
    """A job has no results: it goes on, or it did not complete."""

    code = "job_not_completed"


class UnknownSetting(InvalidArgument, ValueError):
    """There is no such setting."""

    code = "unknown_setting"


class NotOffered(InvalidArgument, ValueError):
    """0.1.4 had it, and this engine has something else in its place."""

    code = "not_offered"


class StateError(OpenAgentsError):
    """The state of an agent cannot be read or changed."""

    code = "state_error"


class StateSerializationError(StateError):
    """A value of a state cannot be written."""

    code = "state_not_serializable"


class StateDeserializationError(StateError):
    """A value of a state cannot be read."""

    code = "state_not_readable"


class StateCorruptionError(StateError):
    """What stands in a state is not what was written."""

    code = "state_corrupt"


class StateLockError(StateError, Conflict):
    """The lock of a state is not held, or has been lost to somebody else."""

    code = "state_lock_lost"
