"""Authentication, permissions and quotas.

    @blueprint.route("/things", methods=["POST"])
    @require("write")          # directly below the route, so that it runs before the request body is read
    @blueprint.arguments(...)
    def make_thing(form): ...

`caller()` is the authenticated caller, and `spend("identify")` uses one of their daily quota. The APIs of other
services use the same functions, and catch the refusals of `web.http.refusals` to answer in their own format.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from secrets import token_urlsafe
from typing import Final, ParamSpec, TypeVar

from flask import Flask, Response, g, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_smorest import Blueprint
from flask_wtf.csrf import CSRFProtect, generate_csrf

from database.accounts.api_keys import MARK, find_key
from database.accounts.people import SCOPES, PersonEntry, person_by_id
from database.accounts.sessions import LONGEST, end_session, has_ended
from retrieval.errors import FungariumError
from web.http.quotas import Quota
from web.http.refusals import NotAllowed, NotSignedIn, QuotaSpent
from web.services import Services, services

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION: Final = "session"  # the scope of being signed in on the pages
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="Fungarium"'}
SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"keyHeader": []}, {"keyQuery": []}, {"session": []}]
SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "keyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    "keyQuery": {"type": "apiKey", "in": "query", "name": "api-key", "description": "An API key; logs may keep it."},
    "session": {"type": "apiKey", "in": "cookie", "name": "session", "description": "Signed in; see /api/v1/session."},
}
csrf = CSRFProtect()


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request. `by` is `nobody` (anonymous), `key` or `session`."""

    by: str
    scopes: frozenset[str]
    person: PersonEntry | None = None
    key: int | None = None  # id of the API key
    key_quota: int | None = None

    @property
    def is_expert(self) -> bool:
        """Whether the caller is an expert or administrator, whose approval is final and who sees obscured places."""
        trusted = self.person is not None and self.person.role in ("expert", "administrator")
        return trusted and "validate" in self.scopes


def caller() -> Caller:
    """Return the caller: by API key, else by session, else anonymous.

    Raises NotSignedIn for an invalid key, which is never treated as no key, and DatabaseError.
    """
    if "caller" not in g:
        g.caller = _caller_by_key(key) if (key := given_key()) else _caller_by_session()
    found: Caller = g.caller
    return found


def given_key() -> str:
    """Return the API key of the request, or "": `Authorization: Bearer`, `X-API-Key`, or `api-key` in the query."""
    kind, _, rest = request.headers.get("Authorization", "").strip().partition(" ")
    if kind.lower() == "bearer" and (rest.strip().startswith(MARK) or not g.get("foreign_keys")):
        return rest.strip()
    if kind.startswith(MARK):  # iNaturalist's clients send the token without a scheme
        return kind
    key = (request.headers.get("X-API-Key") or request.args.get("api-key") or "").strip()
    return "" if g.get("foreign_keys") and not key.startswith(MARK) else key


def check_key(*, needed: bool) -> None:
    """Check the key of a request to another API; raises NotSignedIn.

    If anybody may identify, a key that is not one of ours is treated as no key: clients of other APIs send a key for
    another server, or an invented one, and it gives no permissions beyond those of anonymous callers. A key in our
    format is still refused if it is not valid. If identifying needs a key, a key that is sent must be valid on every
    route, and where it is `needed`, there must be one.
    """
    if services().policy.identify_open:
        g.foreign_keys = True
    elif (given_key() or needed) and caller().by == "nobody":
        raise NotSignedIn("an API key is needed", CHALLENGE)


def require(scope: str) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
    """Restrict a route to callers with `scope`; `session` means signed in on the pages, and excludes API keys.

    Raises NotSignedIn for anonymous callers, else NotAllowed. Browsers send cookies automatically, so a request that
    changes something in a session also needs the CSRF token.
    """
    if scope not in (*SCOPES, SESSION):
        raise ValueError(f"there is no scope {scope!r}")

    def decorate(view: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
        @wraps(view)
        def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
            check(scope)
            return view(*args, **kwargs)

        documented: Callable[Parameters, Answer] = Blueprint.doc(security=SECURITY)(guarded)
        return documented

    return decorate


def check(scope: str) -> Caller:
    """Check the scope at once, like `require`."""
    asking = caller()
    if scope == SESSION:
        if asking.by != SESSION:
            raise NotSignedIn("sign in: this cannot be done with an API key", CHALLENGE)
    elif scope not in asking.scopes:
        if asking.by == "nobody":
            raise NotSignedIn(f"sign in, or use an API key with the scope {scope}", CHALLENGE)
        raise NotAllowed(f"you do not have the permission {scope}")
    if asking.by == SESSION and request.method not in SAFE and scope != "identify":  # identify changes nothing
        csrf.protect()
    return asking


def spend(action: str, amount: int = 1) -> Quota:
    """Use `amount` of the caller's daily quota and return what is left; headers are added to the response.

    Raises NotSignedIn or NotAllowed if the caller may not do it, QuotaSpent if the quota is used up. It is given back
    if the response has a status of 500 or above.
    """
    asking = caller()
    if action not in asking.scopes:
        check(action)
    counts, found = services().counts, None
    for holder, limit in holders(asking):
        quota = counts.spend(holder, action, limit, amount)
        if quota is None:
            give_back()
            g.quota = counts.left(holder, action, limit)
            raise QuotaSpent(
                say_spent(limit or 0, g.quota.remaining or 0, amount),
                {"Retry-After": str(g.quota.reset_seconds)},
            )
        g.setdefault("spent", []).append((holder, action, amount))
        found = tighter(found, quota)
    g.quota = quota = found or Quota("", None, None, 0)
    return quota


def say_spent(limit: int, remaining: int, amount: int) -> str:
    """Why a day does not suffice for `amount` identifications."""
    if not remaining:
        return f"the daily quota of {limit:,} identifications is used up; it resets at 00:00 UTC"
    return (
        f"this needs {amount:,} identifications, and {remaining:,} of the daily quota of {limit:,} are left; "
        "it resets at 00:00 UTC"
    )


def left(action: str) -> Quota:
    """Return what is left of the caller's daily quota, without using it."""
    quota = None
    for holder, limit in holders(caller()):
        quota = tighter(quota, services().counts.left(holder, action, limit))
    return quota or Quota("", None, None, 0)


def holders(asking: Caller) -> list[tuple[str, int | None]]:
    """Return whose quotas a request uses, with their limits: the person, a key with its own quota, or an IP address."""
    policy = services().policy
    if asking.person is None:
        return [(f"address:{address_mark()}", policy.anonymous_quota)] if policy.anonymous_quota else []
    whole: list[tuple[str, int | None]] = [
        (f"person:{asking.person.id}", asking.person.daily_quota or policy.daily_quota)
    ]
    return whole + ([(f"key:{asking.key}", asking.key_quota)] if asking.key_quota else [])


def tighter(one: Quota | None, other: Quota) -> Quota:
    """Return the quota with less remaining."""
    if one is None or one.remaining is None:
        return other
    return one if other.remaining is None or one.remaining <= other.remaining else other


def give_back() -> None:
    """Give back the quota that this request used."""
    for holder, action, amount in g.pop("spent", []):
        services().counts.give_back(holder, action, amount)


def address_mark() -> str:
    """Return the caller's IP address as a digest, for counting; the address is not stored."""
    return hashlib.sha256((request.remote_addr or "").encode()).hexdigest()[:16]


def remember(person: PersonEntry) -> None:
    """Sign a person in: the cookie is valid until they sign out, their epoch changes, or LONGEST has passed."""
    session.clear()  # discard an earlier visitor's data, including the CSRF token
    session.permanent = True
    session["person"] = person.id
    session["epoch"] = person.epoch
    session["id"] = token_urlsafe(16)
    session["since"] = int(time.time())
    g.pop("caller", None)
    g.pop("csrf_token", None)
    generate_csrf()  # now: every response sets the cookie, and a slow one must not overwrite a later token


def forget() -> None:
    """Sign out, here and for every copy of the cookie. Raises DatabaseError, and then the person is still signed in."""
    if "id" in session:
        with services().database().writing() as writing:
            end_session(writing, session["id"])
    session.clear()
    g.pop("caller", None)


def _caller_by_key(key: str) -> Caller:
    with services().database().reading() as reading:
        found = find_key(reading, key)
    if found is None:
        raise NotSignedIn("this API key is not valid: it was never issued, or was revoked, or has expired", CHALLENGE)
    entry, person = found
    return Caller("key", frozenset(entry.scopes) & person.scopes, person, entry.id, entry.daily_quota)


def _caller_by_session() -> Caller:
    signed_in = session.get("person")
    if signed_in is not None and time.time() - session.get("since", 0) < LONGEST.total_seconds():
        with services().database().reading() as reading:
            person = None if has_ended(reading, session.get("id", "")) else person_by_id(reading, signed_in)
        if person is not None and person.active and person.epoch == session.get("epoch"):
            return Caller(SESSION, person.scopes, person)
    return Caller("nobody", frozenset({"read", "identify"} if services().policy.identify_open else {"read"}))


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions in a signed cookie, which is `Secure` wherever the visitor came by HTTPS."""

    def __init__(self, *, always_secure: bool) -> None:
        self.always_secure = always_secure

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the cookie may travel by HTTPS only."""
        return self.always_secure or request.is_secure


def register_access(app: Flask) -> None:
    """Register sessions, CSRF protection, and the headers of quotas."""
    policy = services_of(app).policy
    app.secret_key = services_of(app).secret()
    app.session_interface = Sessions(always_secure=policy.https)
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=14 * 86_400,
        WTF_CSRF_CHECK_DEFAULT=False,  # `check` verifies it: calls by key have no cookie that could be abused
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        WTF_CSRF_SSL_STRICT=False,  # it needs a Referer, which our pages suppress
    )
    csrf.init_app(app)

    def settle(response: Response) -> Response:
        if response.status_code >= 500:
            give_back()
        elif (quota := g.get("quota")) is not None:
            response.headers.extend(quota.headers())
        return response

    app.after_request(settle)


def services_of(app: Flask) -> Services:
    """Return the services of an application outside of a request."""
    found: Services = app.extensions["services"]
    return found


def visitor() -> PersonEntry | None:
    """Return the person signed in; None if anonymous, or if the database is unavailable."""
    try:
        return caller().person
    except FungariumError:
        return None


def visitor_may(scope: str) -> bool:
    """Return whether the visitor has a permission."""
    try:
        return scope in caller().scopes
    except FungariumError:
        return False
