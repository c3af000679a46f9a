"""Puts together what stands above plans: policy, calendars, keys and anchors.

Apart from `app.py` because the command line needs parts of it without the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import httpx
from cryptography.x509 import Certificate, load_pem_x509_certificates

from bot.calendars import CalendarFolder
from bot.domain.breakers import BreakerRules
from bot.domain.errors import Refused
from bot.domain.notes import BadNote, VerifierKey
from bot.domain.people import ChannelId, Person, PersonId
from bot.domain.policy import RiskPolicy
from bot.ledger.anchors.chat import ChatAnchor
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.anchors.timestamps import TimestampAnchor
from bot.ledger.anchors.witnesses import WitnessAnchor
from bot.ledger.signing import (
    BadKey,
    CommandKey,
    FileKey,
    Signer,
    create_private,
    read_private,
    sync_folder,
)
from bot.ledger.subjects import SubjectKeys
from bot.plugin import Audience
from bot.policies import from_documents, load
from bot.ports import Anchor, Chat, Clock, KeysElsewhere, KeysUnfit, Policy
from bot.services.people import PeopleService
from bot.settings import Settings, SettingsError
from bot.web.oidc import OidcSettings
from bot.web.visitors import Audiences

T = TypeVar("T")

POLICIES = "policies"
CALENDARS = "calendars"
SIGNING_KEY = "ledger.pem"
SUBJECTS = "subjects"
PAGES_SECRET = "pages"  # noqa: S105  # a file's name
COOKIE_BYTES = 32
MOST_KEY = 16_384  # bytes of a key file


def policy_in(knowledge: Path) -> Policy:
    """Return the policy of a knowledge folder; without one, the built-in rules.

    Raises:
        PolicyError: the files have a fault.
    """
    folder = knowledge / POLICIES
    return load(folder) if folder.is_dir() else RiskPolicy()


def policy_of(documents: Mapping[str, bytes]) -> Policy:
    """Return the policy of some files; of none, the built-in rules.

    Raises:
        PolicyError: the files have a fault.
    """
    return from_documents(documents) if documents else RiskPolicy()


def calendars_of(settings: Settings, clock: Clock) -> CalendarFolder:
    """Return the calendars of the knowledge folder."""
    stale = settings.brakes.calendars_stale_after
    folder = settings.bot.knowledge / CALENDARS
    return CalendarFolder(folder, stale_after=stale or None, clock=clock)


def breaker_rules(settings: Settings) -> BreakerRules:
    """Return when breakers open."""
    return BreakerRules(
        **settings.brakes.model_dump(exclude={"calendars_stale_after", "security_contact"})
    )


def accounts_of(settings: Settings) -> Mapping[str, str]:
    """Return, for each account of a person with several, their first one."""
    return {id: together[0] for together in settings.approvals.same_person for id in together}


class SubjectKeysOnDemand:
    """The keys that bodies are encrypted under, opened when they are first needed.

    Looking at an installation makes no folder; and where the folder is not
    there, its keys are elsewhere, which is not the same as erased.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: SubjectKeys | None = None

    def pseudonym(self, reference: str) -> str:
        """Return what stands for a person in the record."""
        return self._fit(lambda keys: keys.pseudonym(reference))

    def encrypt(self, body: bytes, subjects: Collection[str]) -> bytes:
        """Return a body so that nobody reads it without the key of every subject."""
        return self._fit(lambda keys: keys.encrypt(body, subjects))

    def decrypt(self, box: bytes, subjects: Collection[str]) -> bytes | None:
        """Return a body, or None where a key is gone.

        Raises:
            KeysElsewhere: there is no folder of keys here.
        """
        if self._keys is None and not self._folder.is_dir():
            raise KeysElsewhere
        return self._fit(lambda keys: keys.decrypt(box, subjects))

    def erase(self, reference: str) -> bool:
        """Destroy a subject's key."""
        return self._fit(lambda keys: keys.erase(reference))

    def _fit(self, use: Callable[[SubjectKeys], T]) -> T:
        """Use the keys; that they cannot be used is no fault of what they close."""
        try:
            if self._keys is None:
                self._keys = SubjectKeys(self._folder)
            return use(self._keys)
        except (BadKey, OSError) as error:
            raise KeysUnfit(str(error)) from None


def subject_keys(settings: Settings) -> SubjectKeysOnDemand:
    """Return the keys that bodies are encrypted under."""
    return SubjectKeysOnDemand(settings.keys / SUBJECTS)


class Signing:
    """Who signs checkpoints, looked up when the first is signed.

    So looking at an installation, as `tocsin check` does, makes no key.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signer: Signer | None = None

    @property
    def verifier(self) -> VerifierKey:
        """Return the key that verifies what is signed."""
        return self._found.verifier

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self._found.sign(message)

    @property
    def _found(self) -> Signer:
        if self._signer is None:
            self._signer = signer_of(self._settings)
        return self._signer


def signer_of(settings: Settings) -> Signer:
    """Return who signs checkpoints: a program that holds the key, or a file of ours.

    Raises:
        SettingsError: the key cannot be used.
    """
    chosen = settings.ledger
    try:
        if chosen.signer:
            return CommandKey(chosen.signer, VerifierKey.parse(chosen.signer_key))
        return FileKey.load_or_create(settings.keys / SIGNING_KEY, chosen.origin)
    except BadKey as error:
        raise SettingsError([f"ledger: {error}"]) from None
    except BadNote as error:
        raise SettingsError([f"ledger.signer_key: {error}"]) from None


def can_sign(settings: Settings) -> bool:
    """Say whether there is a signing key already; without one nothing was ever sealed here."""
    return bool(settings.ledger.signer) or (settings.keys / SIGNING_KEY).is_file()


def make_folders(settings: Settings) -> None:
    """Make the folders of keys and of the file anchor, for our eyes only.

    An anchor's folder that somebody named is not made: it may be a disk that is
    not mounted.

    Raises:
        OSError: they cannot be made.
    """
    settings.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.ledger.anchor is None:
        settings.anchor.mkdir(mode=0o700, parents=True, exist_ok=True)


def anchors_of(
    settings: Settings, client: httpx.AsyncClient, *, chat: Chat, clock: Clock
) -> Sequence[Anchor]:
    """Return the places that remember checkpoints.

    Raises:
        SettingsError: a certificate or a key cannot be used.
    """
    chosen = settings.ledger
    anchors: list[Anchor] = [FileAnchor(settings.anchor / "checkpoints")]
    if chosen.channel:
        anchors.append(ChatAnchor(chat, ChannelId(chosen.channel), clock=clock))
    if chosen.timestamp_url:
        roots = _certificates(chosen.timestamp_certificates)
        anchors.append(TimestampAnchor(chosen.timestamp_url, client, roots=roots))
    if chosen.witness_url:
        try:
            key = VerifierKey.parse(chosen.witness_key)
        except BadNote as error:
            raise SettingsError([f"ledger.witness_key: {error}"]) from None
        anchors.append(WitnessAnchor(chosen.witness_url, key, client=client))
    return anchors


def _certificates(path: Path | None) -> Sequence[Certificate]:
    if path is None:
        return ()
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError([f"ledger.timestamp_certificates: {path}: {error}"]) from None


def pages_secret(settings: Settings) -> bytes:
    """Return what signs the cookies of signed-in people: made once, kept with the keys.

    Raises:
        SettingsError: it cannot be used.
    """
    path = settings.keys / PAGES_SECRET
    try:
        create_private(path, os.urandom(COOKIE_BYTES))
        return read_private(path, most=COOKIE_BYTES) or b""
    except BadKey as error:
        raise SettingsError([f"sign_in: {error}"]) from None


def oidc_of(settings: Settings) -> OidcSettings | None:
    """Return where people sign in, or None where nobody can.

    Raises:
        SettingsError: a part of it is missing or wrong.
    """
    chosen = settings.sign_in
    if not chosen.issuer:
        return None
    if chosen.client_secret is None:
        raise SettingsError(["sign_in.client_secret: is needed (TOCSIN_SIGN_IN__CLIENT_SECRET)"])
    try:
        return OidcSettings(
            issuer=chosen.issuer,
            client_id=chosen.client_id,
            client_secret=chosen.client_secret,
            public_url=chosen.public_url,
            user_claim=chosen.user_claim,
            required=chosen.required,
        )
    except ValueError as error:
        raise SettingsError([f"sign_in.{error}"]) from None


def audiences_of(settings: Settings, people: PeopleService) -> Audiences:
    """Return who may read which pages, by the user groups they are in now.

    Where no group of responders is named, those who are on call are.
    """

    async def audiences(id: PersonId) -> tuple[Person, frozenset[Audience]]:
        standing = await people.standing(id)
        why = unwelcome(standing.person)
        if why is not None:
            raise Refused(why)
        named = settings.sign_in
        found = {Audience.MEMBER}
        if _in(standing.groups, named.responders) or (not named.responders and standing.on_call):
            found.add(Audience.RESPONDER)
        if _in(standing.groups, named.auditors):
            found |= {Audience.RESPONDER, Audience.AUDITOR}
        return standing.person, frozenset(found)

    return audiences


def unwelcome(person: Person) -> str | None:
    """Say why somebody may read no page at all, or None where they may."""
    if not person.active:
        return "This account is deactivated."
    if person.guest or person.stranger or person.bot:
        return "These pages are for full members of this workspace."
    return None


def _in(groups: Collection[str], named: Collection[str]) -> bool:
    return any(name.lstrip("@").casefold() in groups for name in named)


def key_in(path: Path, settings: Settings) -> Signer:
    """Return the key in a file, made where there is none, to sign this log from now on.

    Raises:
        SettingsError: it cannot be used.
    """
    try:
        return FileKey.load_or_create(path, settings.ledger.origin)
    except BadKey as error:
        raise SettingsError([str(error)]) from None


def put_in_place(path: Path, settings: Settings) -> None:
    """Let a new key be the installation's own; the former one is kept beside it.

    Raises:
        SettingsError: the new key is gone.
        OSError: a file cannot be written.
    """
    data = read_private(path, most=MOST_KEY)
    if data is None:
        raise SettingsError([f"{path}: the new key is gone"])
    current = settings.keys / SIGNING_KEY
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    fresh = current.with_name(f"{SIGNING_KEY}.{stamp}.next")
    create_private(fresh, data)
    if current.exists():
        os.link(current, current.with_name(f"{SIGNING_KEY}.{stamp}"))
    fresh.replace(current)  # there is no moment without a key
    sync_folder(settings.keys)
    path.unlink()
