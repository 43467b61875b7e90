"""What can be wrong with inbound hooks and what is sent to them.

NotFound
+-- HookNotFound        there is no inbound hook of a name
+-- DeliveryNotFound    a hook has no delivery of an id, or keeps it no more
InvalidArgument
+-- InvalidHook         an inbound hook was asked for that cannot be
+-- HookBodyUnusable    the body of a delivery cannot be read
+-- HookNotMapped       an expression of a hook has no value for a delivery, or one that cannot be used
Forbidden
+-- HookDisabled        an inbound hook takes nothing for now
Conflict
+-- DeliveryDiffers     the id of a delivery stands for another one
Unavailable
+-- HookSecretUnusable  the secret of a hook is not there in this process, or is none
OpenAgentsError
+-- SignatureInvalid    a delivery is not signed as its hook asks for
"""

from __future__ import annotations

from openagents_json.errors import (
    Conflict,
    Forbidden,
    InvalidArgument,
    NotFound,
    OpenAgentsError,
    Unavailable,
)


class HookNotFound(NotFound):
    """There is no inbound hook of a name."""

    code = "hook_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no hook {name!r}")


class DeliveryNotFound(NotFound):
    """A hook has no delivery of an id, or keeps it no more."""

    code = "delivery_not_found"

    def __init__(self, hook: str, delivery: str) -> None:
        super().__init__(f"the hook {hook} has no delivery {delivery!r}")


class InvalidHook(InvalidArgument):
    """An inbound hook was asked for that cannot be."""

    code = "invalid_hook"


class HookBodyUnusable(InvalidArgument):
    """The body of a delivery cannot be read."""

    code = "hook_body_unusable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the body of the delivery cannot be read: {reason}")


class HookNotMapped(InvalidArgument):
    """An expression of a hook has no value for a delivery, or one that cannot be used."""

    code = "hook_not_mapped"
    http_status = 422

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"the delivery does not go with the hook: {where}: {reason}",
            remedy="it is kept: change the hook, and carry the delivery out again",
        )


class HookDisabled(Forbidden):
    """An inbound hook takes nothing for now."""

    code = "hook_disabled"

    def __init__(self, name: str) -> None:
        super().__init__(f"the hook {name} is disabled")


class DeliveryDiffers(Conflict):
    """The id of a delivery stands for another one."""

    code = "delivery_differs"
    http_status = 422

    def __init__(self, delivery: str) -> None:
        super().__init__(f"the delivery {delivery} came before, with another body")


class HookSecretUnusable(Unavailable):
    """The secret of a hook is not there in this process, or is none; `secret` and `reason` are for its log.

    Whoever sends something hears neither: he has proved nothing yet.
    """

    code = "hook_secret_unusable"

    def __init__(self, secret: str, reason: str) -> None:
        self.secret = secret
        self.reason = reason
        super().__init__(
            "the service cannot check signatures of this hook",
            remedy="look into the log of the service, which names what is missing",
        )


class SignatureInvalid(OpenAgentsError):
    """A delivery is not signed as its hook asks for."""

    code = "signature_invalid"
    http_status = 401

    def __init__(self, reason: str) -> None:
        super().__init__(f"the delivery is not signed as the hook asks for: {reason}")
