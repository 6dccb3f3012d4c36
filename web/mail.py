"""Sends mail by SMTP, beside the requests of a process. The only module that uses smtplib."""

from __future__ import annotations

import logging
import queue
import smtplib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final, cast

from flask import current_app

from retrieval.errors import FungariumError

PATIENCE: Final = 10.0  # seconds that a mail server has for each step
MOST: Final = 100  # errands that wait; more are dropped
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mailer:
    """A mail server and the address that mail is sent from. `scheme` is smtp, starttls or smtps."""

    scheme: str
    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)

    def send(self, recipient: str, subject: str, text: str) -> None:
        """Send a plain message. Raises OSError, of which smtplib's errors are a kind."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, recipient, subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self._domain)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        with self._connect() as server:
            if self.user:
                server.login(self.user, self.password)
            server.send_message(message)

    @property
    def _domain(self) -> str:
        """By which the server is greeted: looking up this machine's name could take long."""
        return self.sender.rpartition("@")[2]

    def _connect(self) -> smtplib.SMTP:
        if self.scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, self._domain, timeout=PATIENCE, context=context)
        server = smtplib.SMTP(self.host, self.port, self._domain, timeout=PATIENCE)
        if self.scheme == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server


class Errands:
    """One thread for what a response must not wait for, since its time would tell what was done."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(MOST)
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, errand: Callable[[], None]) -> None:
        """Run a function later. Returns at once."""
        try:
            self._waiting.put_nowait(errand)
        except queue.Full:
            log.warning("too many mails wait; one was not sent")
            return
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Do what waits, then stop."""
        with self._guard:
            thread = self._thread
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _run(self) -> None:
        while (errand := self._waiting.get()) is not None:
            try:
                errand()
            except (OSError, FungariumError) as error:
                log.warning("mail could not be sent: %s", type(error).__name__)  # its text may name the recipient
            except Exception:
                log.exception("mail could not be sent")


def errands() -> Errands:
    """Return the thread of the current application."""
    return cast(Errands, current_app.extensions["errands"])
