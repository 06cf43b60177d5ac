"""A TLS server with a certificate of one's choice, and settings for clients of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tongban_devstack.embedded.security import Certificate


@asynccontextmanager
async def tls_server(certificate: Certificate) -> AsyncIterator[str]:
    """Yield HOST:PORT of a server that shakes hands and then says nothing."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=context)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        server.close()
