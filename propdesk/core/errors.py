"""Exception tree of propdesk.

::

    PropdeskError
    ├── DataFault            data that cannot be used as it is
    │   ├── SchemaFault      wrong columns, types or encoding
    │   ├── LimitFault       larger than a stated limit
    │   ├── StaleFault       older than allowed
    │   └── GapFault         something expected is missing
    ├── BrokerFault
    │   ├── Retryable        certainly not executed, may be sent again
    │   │   └── TooLate      the moment by which it had to leave has passed
    │   ├── OutcomeUnknown   may or may not have been executed
    │   ├── Rejected         refused by the broker
    │   │   └── AccessRefused    whatever is asked, it would be refused: address, lock of the account
    │   └── AuthExpired      the session ended
    └── ConfigFault          a setting, file or environment is wrong

    InvariantViolated        a broken promise of our own code; never caught but by main
"""


class PropdeskError(Exception):
    """Base of every expected fault; its text is one sentence for a person."""


class DataFault(PropdeskError):
    """Data that cannot be used as it is."""


class SchemaFault(DataFault):
    """Columns, types or encoding are not what is needed."""


class LimitFault(DataFault):
    """The input is larger than a stated limit."""


class StaleFault(DataFault):
    """Data is older than allowed."""


class GapFault(DataFault):
    """Something expected is missing."""


class BrokerFault(PropdeskError):
    """Something went wrong between us and the broker."""


class Retryable(BrokerFault):
    """The request certainly had no effect and may be sent again."""


class TooLate(Retryable):
    """The request did not leave by the moment it had to: nothing was sent."""


class OutcomeUnknown(BrokerFault):
    """The request may or may not have had an effect; never treat it as either."""


class Rejected(BrokerFault):
    """The broker refused the request."""


class AccessRefused(Rejected):
    """The broker takes no order from here at all: wrong address, trading locked."""


class AuthExpired(BrokerFault):
    """The broker's session or token is no longer valid."""


class ConfigFault(PropdeskError):
    """A setting, file or environment is wrong."""


class InvariantViolated(AssertionError):
    """A promise of our own code is broken; the process must stop."""
