"""Accounts by invitation, and new passwords by links, as pages without scripts."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database.accounts import links
from database.accounts.links import make_invitation, make_reset
from database.accounts.people import change_person, set_mail, sign_in
from database.errors import UnknownLink
from tests.web.people import PASSWORD, QUICK, Server
from web.api.accounts import PER_ADDRESS
from web.mail import Mailer
from web.pages import signing_in

NEW = "another sentence for tests"


@pytest.fixture
def system() -> str:
    """One is enough here: what differs between the two is tested in tests/database."""
    return "sqlite"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with few rounds."""
    monkeypatch.setattr(signing_in, "accept_invitation", partial(links.accept_invitation, hasher=QUICK))
    monkeypatch.setattr(signing_in, "reset_password", partial(links.reset_password, hasher=QUICK))


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server on loopback that keeps what it is given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.kept: list[tuple[list[str], EmailMessage]] = []


class Session(socketserver.StreamRequestHandler):
    """One conversation of RFC 5321."""

    server: Mailbox

    def handle(self) -> None:
        """Answer command by command."""
        recipients: list[str] = []
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            command = line.strip().decode("ascii")
            if command.upper().startswith("RCPT TO:"):
                recipients.append(command[8:].strip("<> "))
            if command.upper() == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            if command.upper() != "DATA":
                self.wfile.write(b"250 fine\r\n")
                continue
            self.wfile.write(b"354 go on\r\n")
            body = b""
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                body += line
            message = message_from_bytes(body, policy=policy.default)
            self.server.kept.append((recipients, message))
            self.wfile.write(b"250 kept\r\n")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """The mail server, running."""
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def mailing(start: Callable[..., Server], port: int) -> Server:
    """A server that sends mail, with an observer who has an address."""
    server = start(mailer=Mailer("smtp", "127.0.0.1", port, "fungi@example.org"), public_url="https://fungi.example")
    with server.database.writing() as session:
        set_mail(session, server.ids["olga"], "Olga@example.org")
    return server


def send(client: FlaskClient, path: str, **form: str) -> TestResponse:
    """Fill in the form of a page and send it, as a browser without scripts does."""
    page = client.get(path).get_data(as_text=True)
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    return client.post(path, data={"csrf_token": found[1] if found else "", **form})


def path_of(page: TestResponse) -> str:
    """The path of the link that a page shows."""
    found = re.search(r'id="made-link">https?://[^/]+([^<]+)<', page.get_data(as_text=True))
    assert found is not None
    return found[1]


def invitation(server: Server, role: str = "expert") -> str:
    with server.database.writing() as session:
        return f"/invitations/{make_invitation(session, role)[0]}"


def reset(server: Server, login: str = "olga") -> str:
    with server.database.writing() as session:
        return f"/new-password/{make_reset(session, server.ids[login])[0]}"


def who(client: FlaskClient) -> str:
    person = client.get("/api/v1/session").get_json()["person"]
    return "" if person is None else f"{person['login']} {person['role']}"


def test_an_administrator_invites_and_the_invited_is_signed_in_with_the_role(server: Server) -> None:
    ada = server.signed_in("ada")
    made = ada.client.post("/administration/invitations", data={"role": "expert", "name": "Iris"}, headers=ada.token)
    visitor = server.visitor()

    joined = send(visitor, path_of(made), login="Iris", name="Iris B.", password=PASSWORD)

    assert (made.status_code, joined.status_code) == (201, 303)
    assert who(visitor) == "iris expert"
    listed = ada.client.get("/administration/people").get_data(as_text=True)
    assert path_of(made).rpartition("/")[2] not in listed
    assert server.visitor().get(path_of(made)).status_code == 404


def test_a_revoked_invitation_opens_nothing(server: Server) -> None:
    ada, path = server.signed_in("ada"), invitation(server)
    assert server.visitor().get(path).status_code == 200

    ada.client.post("/administration/links/1/revoke", headers=ada.token)

    assert server.visitor().get(path).status_code == 404


def test_a_role_cannot_be_chosen_by_the_invited(server: Server) -> None:
    visitor = server.visitor()

    send(visitor, invitation(server, "observer"), login="iris", password=PASSWORD, role="administrator")

    assert who(visitor) == "iris observer"


def test_a_link_of_an_administrator_sets_a_new_password_and_ends_sessions_and_keys(server: Server) -> None:
    ada, olga, key = server.signed_in("ada"), server.signed_in("olga"), server.key("olga")
    made = ada.client.post(f"/administration/people/{server.ids['olga']}/reset-link", headers=ada.token)
    visitor = server.visitor()

    assert send(visitor, path_of(made), password="short").status_code == 422
    assert send(visitor, path_of(made), password=NEW).status_code == 303

    assert (who(visitor), who(olga.client)) == ("olga observer", "")
    assert server.visitor().get("/api/v1/quota", headers=key).status_code == 401
    assert sign_in(server.database, "olga", NEW, hasher=QUICK) is not None
    assert server.visitor().get(path_of(made)).status_code == 404


@pytest.mark.parametrize("make", [invitation, reset])
def test_a_link_is_used_neither_by_looking_nor_without_the_token_of_its_form(
    server: Server, make: Callable[[Server], str]
) -> None:
    path = make(server)

    for _ in range(2):
        assert server.visitor().get(path).status_code == 200
    forged = server.visitor().post(path, data={"login": "mallory", "password": NEW})

    assert forged.status_code == 400
    assert server.visitor().get(path).status_code == 200


def test_wrong_links_are_counted_before_they_are_looked_up(server: Server) -> None:
    path = invitation(server)
    tries = [server.visitor().get("/invitations/guess").status_code for _ in range(PER_ADDRESS.attempts)]

    refused = server.visitor().get(path)

    assert set(tries) == {404}
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
    other = server.visitor().get(path, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert other.status_code == 200


def test_no_password_is_hashed_for_a_wrong_link(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise AssertionError("a password was hashed")

    monkeypatch.setattr(PasswordHasher, "hash", fail)

    with pytest.raises(UnknownLink):
        links.reset_password(server.database, "guess", PASSWORD)
    with pytest.raises(UnknownLink):
        links.accept_invitation(server.database, "guess", "iris", "", PASSWORD)


def test_a_forgotten_password_is_mailed_and_set(start: Callable[..., Server], mailbox: Mailbox) -> None:
    server = mailing(start, mailbox.server_address[1])

    sent = send(server.visitor(), "/forgotten-password", login="olga")
    server.app.extensions["errands"].close()

    [(recipients, message)] = mailbox.kept
    found = re.search(r"https://fungi\.example(/new-password/\S+)", message.get_content())
    assert found is not None
    assert sent.status_code == 200
    assert (recipients, message["To"], message["From"]) == (
        ["olga@example.org"],
        "olga@example.org",
        "fungi@example.org",
    )
    visitor = server.visitor()
    assert send(visitor, found[1], password=NEW).status_code == 303
    assert who(visitor) == "olga observer"


def test_a_forged_host_does_not_lead_links_in_mails_elsewhere(start: Callable[..., Server], mailbox: Mailbox) -> None:
    server = mailing(start, mailbox.server_address[1])
    visitor = server.visitor()
    page = visitor.get("/forgotten-password", base_url="http://evil.example").get_data(as_text=True)
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]

    visitor.post("/forgotten-password", base_url="http://evil.example", data={"login": "olga", "csrf_token": token})
    server.app.extensions["errands"].close()

    assert "evil.example" not in mailbox.kept[0][1].get_content()


def test_the_answer_is_the_same_whoever_forgot(start: Callable[..., Server], mailbox: Mailbox) -> None:
    server = mailing(start, mailbox.server_address[1])
    with server.database.writing() as session:
        set_mail(session, server.ids["omar"], "omar@example.org")
        change_person(session, server.ids["omar"], active=False)

    pages = []
    for login in ("olga", "erna", "omar", "nobody", "olga@example.org", "nobody@example.org"):
        page = send(server.visitor(), "/forgotten-password", login=login).get_data(as_text=True)
        pages.append(re.sub(r'name="csrf_token" value="[^"]+"', "", page))
    server.app.extensions["errands"].close()

    assert len(set(pages)) == 1
    assert [recipients for recipients, _ in mailbox.kept] == [["olga@example.org"]] * 2


def test_nobody_fills_somebody_elses_mailbox(start: Callable[..., Server], mailbox: Mailbox) -> None:
    server = mailing(start, mailbox.server_address[1])

    statuses = {send(server.visitor(), "/forgotten-password", login="olga").status_code for _ in range(5)}
    server.app.extensions["errands"].close()

    assert statuses == {200}
    assert len(mailbox.kept) == signing_in.MAILS.attempts


def test_a_mail_server_that_is_away_changes_nothing_in_the_answer(start: Callable[..., Server]) -> None:
    with Mailbox() as closed:
        port = closed.server_address[1]
    server = mailing(start, port)

    assert send(server.visitor(), "/forgotten-password", login="olga").status_code == 200
    server.app.extensions["errands"].close()


def test_without_a_mail_server_the_page_says_who_hands_out_links(server: Server) -> None:
    page = server.visitor().get("/forgotten-password").get_data(as_text=True)

    assert "The administrator of this server can give you a link" in page
    assert 'name="login"' not in page


def test_an_address_is_changed_with_the_password_only(server: Server) -> None:
    olga = server.signed_in("olga")

    wrong = olga.client.post("/me/mail", data={"mail": "m@example.org", "current": "wrong"}, headers=olga.token)
    right = olga.client.post("/me/mail", data={"mail": "o@example.org", "current": PASSWORD}, headers=olga.token)

    assert (wrong.status_code, right.status_code) == (401, 303)
    assert "o@example.org" in olga.client.get("/me").get_data(as_text=True)


@pytest.mark.parametrize(
    ("language", "title"), [("en", "Create account"), ("de", "Konto anlegen"), ("da", "Opret konto")]
)
def test_the_invitation_speaks_the_visitors_language(server: Server, language: str, title: str) -> None:
    page = server.visitor().get(invitation(server), headers={"Accept-Language": language})

    assert f"<h1>{title}</h1>" in page.get_data(as_text=True)
