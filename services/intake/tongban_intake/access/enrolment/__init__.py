"""Enrol kiosks (一体机) by their keys and lobby managers (大堂经理) by their PINs.

`kiosks` and `assistants` define the records on control.kiosks and control.assistants, `register`
reads and writes them, `keyfiles` reads keys, `assertion` signs and verifies assertions.
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
