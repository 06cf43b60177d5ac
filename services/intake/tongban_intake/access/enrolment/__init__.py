"""Who may knock at intake: kiosks (一体机) by their keys, lobby managers (大堂经理) by their PINs.

`kiosks` and `assistants` say what stands on control.kiosks and control.assistants, `register`
writes it, `assertion` and `trading` turn a kiosk's key into a bearer token.
"""

from tongban_intake.access.enrolment.assistants import AssistantRecord
from tongban_intake.access.enrolment.kiosks import EnrolmentError, KioskKey, KioskRecord
from tongban_intake.access.enrolment.register import (
    READ_COMMITTED,
    Register,
    assistant_register,
    kiosk_register,
)

__all__ = [
    "READ_COMMITTED",
    "AssistantRecord",
    "EnrolmentError",
    "KioskKey",
    "KioskRecord",
    "Register",
    "assistant_register",
    "kiosk_register",
]
