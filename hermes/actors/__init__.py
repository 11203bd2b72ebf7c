"""The actor kernel: it knows nothing of models and imports nothing of ours.

Mailbox, ask and tell, the actor loop, parts, the one way to shield, the teardown
ladder, service nurseries, restart intensity.  The session actor, which lives on
it, is in `hermes.actors.session`.
"""

from hermes.actors.actor import BATCH, Actor, Ref, open_actor
from hermes.actors.exceptions import ActorClosed, MailboxFull
from hermes.actors.intensity import Intensity
from hermes.actors.ladder import STEP_SECONDS, TOTAL_SECONDS, Step, StepReport, descend
from hermes.actors.mailbox import DEFAULT_CAPACITY, Mailbox
from hermes.actors.part import Part, PartReport
from hermes.actors.reply import Ask, Reply
from hermes.actors.service import ServiceNursery, open_service_nursery
from hermes.actors.shield import Deadline

__all__ = [
    "BATCH",
    "DEFAULT_CAPACITY",
    "STEP_SECONDS",
    "TOTAL_SECONDS",
    "Actor",
    "ActorClosed",
    "Ask",
    "Deadline",
    "Intensity",
    "Mailbox",
    "MailboxFull",
    "Part",
    "PartReport",
    "Ref",
    "Reply",
    "ServiceNursery",
    "Step",
    "StepReport",
    "descend",
    "open_actor",
    "open_service_nursery",
]
