"""Define the bodies of requests for tokens: by a kiosk, and by a lobby manager."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from tongban_intake.access.enrolment.kiosks import DeviceId
from tongban_intake.http.body import RequestBody


class TokenRequest(BaseModel):
    """A kiosk's request for a token (RFC 7523)."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assertion: str = Field(description="JWT signed with the kiosk's key, EdDSA (RFC 8037)")


class AssistantSignIn(RequestBody):
    """A lobby manager's sign-in at a kiosk."""

    assistant_id: DeviceId
    pin: str = Field(min_length=1, max_length=64, description="6 to 12 digits")
