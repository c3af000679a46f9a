"""Keys per person: what they hide, what erasing one does, and what happens beside it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.ledger import subjects
from bot.ledger.signing import BadKey
from bot.ledger.subjects import INSTALLATION, Damaged, SubjectKeys

ANA, BEN = "person:U1", "person:U2"
BODY = b'{"comment":"I rolled it back"}'


def file_of(folder: Path, reference: str) -> Path:
    return folder / f"{sha256(reference.encode()).hexdigest()[:32]}.key"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(folder: Path) -> SubjectKeys:
    return SubjectKeys(folder)


class TestFolder:
    def test_only_the_owner_may_use_it_whatever_the_umask(self, folder: Path) -> None:
        before = os.umask(0)
        try:
            SubjectKeys(folder).encrypt(BODY, {ANA})
        finally:
            os.umask(before)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(file_of(folder, ANA).stat().st_mode) == 0o600
        assert file_of(folder, ANA).stat().st_size == 32

    @pytest.mark.parametrize("mode", (0o750, 0o705, 0o755, 0o710, 0o701))
    def test_one_that_others_may_enter_is_refused(self, folder: Path, mode: int) -> None:
        folder.mkdir()
        folder.chmod(mode)
        with pytest.raises(BadKey, match=f"others may enter it .mode {mode:04o}"):
            SubjectKeys(folder)

    def test_a_file_in_its_place_is_refused(self, folder: Path) -> None:
        folder.write_bytes(b"")
        with pytest.raises(BadKey, match="not a folder"):
            SubjectKeys(folder)

    def test_no_name_in_it_holds_a_reference(self, folder: Path, keys: SubjectKeys) -> None:
        keys.pseudonym(ANA)
        assert os.listdir(folder) == [file_of(folder, ANA).name]

    def test_a_reference_cannot_lead_out_of_it(self, folder: Path, keys: SubjectKeys) -> None:
        keys.pseudonym("person:../../../etc/passwd\0")
        assert len(os.listdir(folder)) == 1


class TestPseudonyms:
    def test_the_same_person_is_always_the_same(self, folder: Path, keys: SubjectKeys) -> None:
        name = keys.pseudonym(ANA)
        assert name == keys.pseudonym(ANA) == SubjectKeys(folder).pseudonym(ANA)
        assert name.startswith("person:")
        assert len(name) == len("person:") + 16
        assert int(name.removeprefix("person:"), 16) >= 0

    def test_two_people_are_not_the_same(self, keys: SubjectKeys) -> None:
        assert keys.pseudonym(ANA) != keys.pseudonym(BEN)

    def test_it_cannot_be_guessed_without_the_key(self, tmp_path: Path) -> None:
        one, two = SubjectKeys(tmp_path / "one"), SubjectKeys(tmp_path / "two")
        assert one.pseudonym(ANA) != two.pseudonym(ANA)

    @pytest.mark.parametrize("reference", ("bot", "system", "plugin:triage", "bot:B1"))
    def test_software_keeps_its_name_and_needs_no_key(
        self, folder: Path, keys: SubjectKeys, reference: str
    ) -> None:
        assert keys.pseudonym(reference) == reference
        assert os.listdir(folder) == []

    def test_after_erasure_a_person_is_another_one(self, keys: SubjectKeys) -> None:
        before = keys.pseudonym(ANA)
        assert keys.erase(ANA)
        assert keys.pseudonym(ANA) != before


class TestBoxes:
    @pytest.mark.parametrize("about", ((), (ANA,), (ANA, BEN)))
    def test_a_body_is_read_as_it_was_written(
        self, folder: Path, keys: SubjectKeys, about: tuple[str, ...]
    ) -> None:
        box = keys.encrypt(BODY, about)
        assert box[0] == 1
        assert BODY not in box
        assert keys.decrypt(box, about) == BODY
        assert SubjectKeys(folder).decrypt(box, about) == BODY

    def test_neither_order_nor_repetition_of_subjects_matters(self, keys: SubjectKeys) -> None:
        assert keys.decrypt(keys.encrypt(BODY, [ANA, BEN]), (BEN, ANA, BEN)) == BODY

    @pytest.mark.parametrize("size", (0, 1, 15, 16, 17, 65_534))
    def test_bodies_of_any_size_are_kept(self, keys: SubjectKeys, size: int) -> None:
        body = os.urandom(size)
        box = keys.encrypt(body, {ANA})
        assert keys.decrypt(box, {ANA}) == body
        assert len(box) == size + 45

    def test_two_boxes_of_one_body_have_nothing_in_common(self, keys: SubjectKeys) -> None:
        one, two = keys.encrypt(BODY, {ANA}), keys.encrypt(BODY, {ANA})
        for part in (slice(1, 9), slice(9, 17), slice(17, 29), slice(29, None)):
            assert one[part] != two[part]

    def test_every_flipped_bit_is_damage(self, keys: SubjectKeys) -> None:
        for about in ((), (ANA,), (ANA, BEN)):
            box = keys.encrypt(BODY, about)
            for index in range(len(box)):
                bent = bytearray(box)
                bent[index] ^= 1 << index % 8
                with pytest.raises(Damaged):
                    keys.decrypt(bytes(bent), about)

    def test_every_cut_is_damage(self, keys: SubjectKeys) -> None:
        box = keys.encrypt(BODY, {ANA})
        for end in range(len(box)):
            with pytest.raises(Damaged):
                keys.decrypt(box[:end], {ANA})

    def test_a_box_about_one_person_does_not_open_for_another(self, keys: SubjectKeys) -> None:
        keys.pseudonym(BEN)
        box = keys.encrypt(BODY, {ANA})
        for others in ({BEN}, {ANA, BEN}, ()):
            keys.encrypt(BODY, others)
            assert keys.decrypt(box, others) is None

    def test_subjects_that_swap_their_keys_are_not_the_same_subjects(
        self, folder: Path, keys: SubjectKeys
    ) -> None:
        box = keys.encrypt(BODY, {ANA})
        os.rename(file_of(folder, ANA), file_of(folder, BEN))
        assert SubjectKeys(folder).decrypt(box, {BEN}) is None

    def test_one_reference_in_place_of_a_collection_is_refused(self, keys: SubjectKeys) -> None:
        with pytest.raises(TypeError, match="one reference"):
            keys.encrypt(BODY, ANA)
        with pytest.raises(TypeError, match="one reference"):
            keys.decrypt(bytes([1]) + bytes(44), ANA)

    @given(body=st.binary(max_size=2000), about=st.sets(st.sampled_from(("a", "b", "c", "d"))))
    def test_every_body_is_read_as_it_was_written(
        self, tmp_path_factory: pytest.TempPathFactory, body: bytes, about: set[str]
    ) -> None:
        keys = SubjectKeys(tmp_path_factory.getbasetemp() / "shared")
        assert keys.decrypt(keys.encrypt(body, about), about) == body

    @given(box=st.binary(max_size=100))
    def test_no_bytes_open_that_were_not_encrypted(
        self, tmp_path_factory: pytest.TempPathFactory, box: bytes
    ) -> None:
        keys = SubjectKeys(tmp_path_factory.getbasetemp() / "shared")
        keys.encrypt(b"", {ANA})
        for candidate in (box, b"\x01" + box):
            with suppress(Damaged):
                assert keys.decrypt(candidate, {ANA}) is None


class TestErasure:
    def test_a_body_about_somebody_erased_is_gone(self, folder: Path, keys: SubjectKeys) -> None:
        box = keys.encrypt(BODY, {ANA})
        assert keys.erase(ANA)
        assert keys.decrypt(box, {ANA}) is None
        assert SubjectKeys(folder).decrypt(box, {ANA}) is None
        assert os.listdir(folder) == []

    @pytest.mark.parametrize("erased", (ANA, BEN, "person:U3"))
    def test_erasing_any_of_several_is_enough(self, keys: SubjectKeys, erased: str) -> None:
        everybody = {ANA, BEN, "person:U3"}
        box, alone = keys.encrypt(BODY, everybody), keys.encrypt(BODY, {"person:U4"})
        keys.erase(erased)
        assert keys.decrypt(box, everybody) is None
        assert keys.decrypt(alone, {"person:U4"}) == BODY

    def test_somebody_who_comes_back_cannot_be_joined_to_who_they_were(
        self, keys: SubjectKeys
    ) -> None:
        old = keys.encrypt(BODY, {ANA})
        keys.erase(ANA)
        new = keys.encrypt(BODY, {ANA})
        assert keys.decrypt(old, {ANA}) is None
        assert keys.decrypt(new, {ANA}) == BODY

    def test_it_says_whether_there_was_a_key(self, keys: SubjectKeys) -> None:
        assert not keys.erase(ANA)
        keys.pseudonym(ANA)
        assert keys.erase(ANA)
        assert not keys.erase(ANA)

    def test_reading_makes_no_key(self, folder: Path, keys: SubjectKeys) -> None:
        assert keys.decrypt(bytes([1]) + bytes(44), {ANA}) is None
        assert os.listdir(folder) == []

    def test_nothing_of_the_key_stays_in_memory(self, folder: Path, keys: SubjectKeys) -> None:
        keys.decrypt(keys.encrypt(BODY, {ANA, BEN}), {ANA, BEN})
        keys.erase(ANA)
        assert ANA not in keys._held
        assert not keys._ciphers

    def test_a_second_name_left_by_a_crash_goes_too(
        self, folder: Path, keys: SubjectKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            keys.pseudonym(ANA)
        monkeypatch.undo()
        again = SubjectKeys(folder)
        again.pseudonym(ANA)
        assert len(os.listdir(folder)) == 2
        again.erase(ANA)
        assert os.listdir(folder) == []

    def test_it_is_brought_to_the_disk(
        self, folder: Path, keys: SubjectKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys.pseudonym(ANA)
        there: list[bool] = []
        monkeypatch.setattr(
            subjects, "sync_folder", lambda at: there.append(file_of(at, ANA).exists())
        )
        keys.erase(ANA)
        assert there == [False]

    def test_an_erasure_that_did_not_reach_the_disk_is_an_error(
        self, keys: SubjectKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failed(_: Path) -> None:
            raise OSError(5, "Input/output error")

        keys.pseudonym(ANA)
        monkeypatch.setattr(subjects, "sync_folder", failed)
        with pytest.raises(OSError, match="Input/output"):
            keys.erase(ANA)

    def test_the_installations_own_key_cannot_be_erased(self, keys: SubjectKeys) -> None:
        box = keys.encrypt(BODY, ())
        with pytest.raises(ValueError, match="installation"):
            keys.erase(INSTALLATION)
        assert keys.decrypt(box, ()) == BODY

    def test_a_lost_installation_key_is_damage_and_no_erasure(
        self, folder: Path, keys: SubjectKeys
    ) -> None:
        box = keys.encrypt(BODY, ())
        file_of(folder, INSTALLATION).unlink()
        with pytest.raises(Damaged, match="installation"):
            keys.decrypt(box, ())


class TestFiles:
    @pytest.mark.parametrize("size", (0, 1, 31, 33, 4096))
    def test_a_torn_key_file_is_named_and_never_replaced(
        self, folder: Path, keys: SubjectKeys, size: int
    ) -> None:
        path = file_of(folder, ANA)
        path.write_bytes(bytes(size))
        path.chmod(0o600)
        box = bytes([1]) + bytes(44)
        for use in (
            lambda: keys.pseudonym(ANA),
            lambda: keys.encrypt(BODY, {ANA}),
            lambda: keys.decrypt(box, {ANA}),
        ):
            with pytest.raises(BadKey, match=path.name):
                use()
        assert path.read_bytes() == bytes(size)

    def test_a_key_file_that_others_may_read_is_refused(
        self, folder: Path, keys: SubjectKeys
    ) -> None:
        keys.pseudonym(ANA)
        file_of(folder, ANA).chmod(0o644)
        with pytest.raises(BadKey, match="0644"):
            SubjectKeys(folder).pseudonym(ANA)

    def test_a_key_that_changed_in_one_bit_does_not_open_what_it_closed(
        self, folder: Path, keys: SubjectKeys
    ) -> None:
        box = keys.encrypt(BODY, {ANA})
        path = file_of(folder, ANA)
        bent = bytearray(path.read_bytes())
        bent[0] ^= 1
        path.write_bytes(bytes(bent))
        assert SubjectKeys(folder).decrypt(box, {ANA}) is None

    def test_more_subjects_than_are_kept_in_memory(
        self, keys: SubjectKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subjects, "CACHED", 3)
        people = [f"person:{number}" for number in range(8)]
        boxes = {person: keys.encrypt(BODY, {person}) for person in people}
        assert all(keys.decrypt(boxes[person], {person}) == BODY for person in people)
        assert len(keys._held) == 3
        assert len(keys._ciphers) == 3
        keys.erase(people[0])
        assert keys.decrypt(boxes[people[0]], {people[0]}) is None


# Another process, which erases, or which makes keys as fast as it can.
ERASER = """
import sys
from pathlib import Path
from bot.ledger.subjects import SubjectKeys
SubjectKeys(Path(sys.argv[1])).erase(sys.argv[2])
"""
MAKER = """
import sys
from pathlib import Path
from bot.ledger.subjects import SubjectKeys
keys = SubjectKeys(Path(sys.argv[1]))
sys.stdin.readline()
print(*[keys.pseudonym(f"person:{number}") for number in range(60)])
"""


class TestOthers:
    def test_what_another_process_erased_is_erased_here_at_once(
        self, folder: Path, keys: SubjectKeys
    ) -> None:
        box, name = keys.encrypt(BODY, {ANA}), keys.pseudonym(ANA)
        assert keys.decrypt(box, {ANA}) == BODY
        subprocess.run([sys.executable, "-c", ERASER, str(folder), ANA], check=True)
        assert keys.decrypt(box, {ANA}) is None
        assert not keys._held
        assert keys.pseudonym(ANA) != name

    def test_what_another_process_erased_and_made_anew_is_the_new_one_here(
        self, folder: Path, keys: SubjectKeys
    ) -> None:
        box = keys.encrypt(BODY, {ANA})
        other = SubjectKeys(folder)
        other.erase(ANA)
        new = other.encrypt(BODY, {ANA})
        assert keys.decrypt(box, {ANA}) is None
        assert keys.decrypt(new, {ANA}) == BODY
        assert keys.pseudonym(ANA) == other.pseudonym(ANA)

    def test_processes_that_make_the_same_keys_at_once_agree(self, folder: Path) -> None:
        makers = [
            subprocess.Popen(
                [sys.executable, "-c", MAKER, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(4)
        ]
        for maker in makers:
            assert maker.stdin is not None
            maker.stdin.write(b"go\n")
            maker.stdin.flush()
        answers = {maker.communicate()[0] for maker in makers}
        assert len(answers) == 1
        assert len(answers.pop().split()) == 60
        assert all(name.endswith(".key") for name in os.listdir(folder))

    def test_threads_that_make_the_same_keys_at_once_agree(
        self, folder: Path, keys: SubjectKeys
    ) -> None:
        barrier = threading.Barrier(8)
        found: list[tuple[str, ...]] = []

        def make() -> None:
            barrier.wait()
            found.append(tuple(keys.pseudonym(f"person:{number}") for number in range(20)))

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert len(os.listdir(folder)) == 20

    def test_erasing_while_others_write_and_read_never_looks_like_damage(
        self, keys: SubjectKeys
    ) -> None:
        wrong: list[object] = []
        done = threading.Event()

        def use() -> None:
            while not done.is_set():
                opened = keys.decrypt(keys.encrypt(BODY, {ANA, BEN}), {BEN, ANA})
                if opened not in (BODY, None):
                    wrong.append(opened)

        def guarded() -> None:
            try:
                use()
            except (Damaged, BadKey, OSError) as error:
                wrong.append(error)

        threads = [threading.Thread(target=guarded) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            keys.erase(ANA)
        done.set()
        for thread in threads:
            thread.join()
        assert wrong == []
